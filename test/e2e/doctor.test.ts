/** `berth doctor`, and the look at the limits that a first start takes by itself. */
import { readdir } from "node:fs/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../harness/clients/client.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

interface Report {
  readonly checked_at: string | null;
  readonly hold: boolean | null;
  readonly checks: readonly { name: string; status: string; found: string }[];
}

let site: Site;
beforeAll(async () => {
  site = await openSite({ env: { BERTH_DOCTOR: "on", BERTH_EGRESS: "none" } });
});
afterAll(() => site[Symbol.asyncDispose]());

test("the first start checks which limits hold while it serves, and the next start does not check again", async () => {
  const berth = await site.start();
  const first = await eventually(async () => {
    const report = await berth.json<Report>(200, "GET", "/v1/doctor");
    return report.checked_at === null ? undefined : report;
  }, 110_000);
  expect(first).toMatchObject({ hold: true });
  expect(first.checks).toHaveLength(11);
  await berth.kill("SIGTERM");
  const again = await site.start();
  expect(await again.json<Report>(200, "GET", "/v1/doctor")).toEqual(first);
});

test("berth doctor prints one line per check, or JSON, and exits with code 0 when all limits hold", async () => {
  const { code, output } = await site.run(["doctor"]);
  expect(output).toMatch(/^engine: /);
  expect(output).toMatch(/^OK +memory +killed at \d+ MiB, allowed 72 MiB of memory$/m);
  expect(code).toBe(0);
  const connected = await site.run(["doctor", "--json"], { BERTH_EGRESS: "open" });
  const { checks } = JSON.parse(connected.output) as Pick<Report, "checks">;
  expect(checks).toContainEqual(
    expect.objectContaining({
      name: "network",
      found: "no address of the host that the probe tried answers",
    }),
  );
  expect(connected.code).toBe(0);
});

test("what a killed berth doctor leaves behind is removed by the next berth doctor, and by a start of Berth", async () => {
  await using place = await openSite({ env: { BERTH_EGRESS: "open" } });
  const doctors = async () => {
    const marks = await place.engine.listMarks({ "berth.kind": "doctor" }, AbortSignal.timeout(60_000));
    return marks.filter(({ labels }) => labels["berth.data-folder"]?.startsWith(place.dataFolder));
  };
  const leftOf = async (instance = "") => {
    const labels = { "berth.instance": instance };
    const signal = AbortSignal.timeout(60_000);
    const [containers, networks] = await Promise.all([
      place.engine.listContainers(labels, signal),
      place.engine.listNetworks(labels, signal),
    ]);
    return { containers: containers.length, networks: networks.length };
  };
  const killed = async (): Promise<string> => {
    const ended = Promise.withResolvers<void>();
    const child = place.begin(["doctor"]);
    child.once("exit", () => ended.resolve());
    const instance = await eventually(async () => {
      const [mark] = await doctors();
      const found = mark?.labels["berth.instance"];
      return (await leftOf(found)).containers > 0 ? found : undefined;
    });
    child.kill("SIGKILL");
    await ended.promise;
    expect(await leftOf(instance)).toMatchObject({ networks: 1 });
    return instance;
  };

  const first = await killed();
  const { code } = await place.run(["doctor"]);
  expect(code).toBe(0);
  expect(await leftOf(first)).toEqual({ containers: 0, networks: 0 });
  const second = await killed();
  await using _berth = await place.start({ BERTH_DOCTOR: "off" });
  await eventually(async () => ((await doctors()).length === 0 ? true : undefined));
  expect(await leftOf(second)).toEqual({ containers: 0, networks: 0 });
  // Another Berth on this engine may have removed the rest; the folder only this one removes.
  await eventually(async () => {
    const names = await readdir(place.dataFolder);
    return names.some((name) => name.startsWith("doctor-")) ? undefined : true;
  });
});
