/** What others do to a running Berth: they remove its containers, copy its labels, and set the clock. */

import { readFile, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  askTool,
  callTool,
  eventually,
  historyOf,
  install,
  type PackedPlugin,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import { startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const HOUR_MS = 3_600_000;

const scope = new Scope();
let site: Site;
let berth: BerthProcess;
let echo: PackedPlugin;
let running: AcceptedInstall;
let shiftFile: string;
beforeAll(async () => {
  site = scope.use(await openSite({ database: "embedded" }));
  shiftFile = join(site.dataFolder, "clock-shift");
  await writeFile(shiftFile, "0");
  berth = await start();
  echo = await packPlugin("echo");
  running = await install(berth, echo);
});
afterAll(() => scope.close());

const start = () =>
  site.start({
    CLOCK_SHIFT_FILE: shiftFile,
    NODE_OPTIONS: `--import=${join(import.meta.dirname, "../fixtures/shifted-clock.ts")}`,
  });
const call = (parameters = {}) => ({
  tenant: running.tenant,
  pluginId: echo.pluginId,
  tool: "echo",
  parameters: { text: "aye", ...parameters },
});
const answers = () => toolTexts(berth, call());
const containers = async () =>
  (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === running.tenant);

async function setClock(shiftMs: number): Promise<void> {
  await writeFile(shiftFile, String(shiftMs));
  process.kill(berth.pid, "SIGUSR2");
  await eventually(async () => {
    return (await readFile(`${shiftFile}.done`, "utf8")) === String(shiftMs) ? true : undefined;
  });
}

/** A container of somebody else's, by the engine's own words. */
async function forge(name: string, image: string, labels: Readonly<Record<string, string>>): Promise<string> {
  const ask = async (path: string, body?: object): Promise<string> => {
    const socketPath = process.env["BERTH_TEST_ENGINE_SOCKET"] ?? "/var/run/docker.sock";
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    const headers = { "content-type": "application/json" };
    request({ socketPath, path, method: "POST", headers }, (answer) => text(answer).then(resolve, reject))
      .on("error", reject)
      .end(body === undefined ? undefined : JSON.stringify(body));
    return await promise;
  };
  const spec = { Image: image, Labels: labels, Entrypoint: ["sleep"], Cmd: ["600"] };
  const { Id: id } = JSON.parse(await ask(`/containers/create?name=${name}`, spec)) as { Id: string };
  await ask(`/containers/${id}/start`);
  return id;
}

test("a container that somebody removes is reported as ended_outside, does not count as a crash, and is replaced", async () => {
  const [before] = await containers();
  if (before === undefined) throw new Error("it has no container");
  const open = callTool(berth, call({ messages: 100, delay_ms: 100 }));
  await toolTexts(berth, call());
  await site.engine.removeContainer(before.id, AbortSignal.timeout(60_000));
  expect((await open).at(-1)).toMatchObject({ name: "error", data: { error: { code: "plugin_crashed" } } });
  await eventually(async () => {
    const answer = await askTool(berth, call());
    await answer.arrayBuffer();
    return answer.ok ? true : undefined;
  });
  const [now, ended] = await historyOf(berth, running);
  expect(now).toMatchObject({ state: "ready" });
  expect(ended).toMatchObject({ end: { cause: "ended_outside", action: { kind: "start_now" } } });
});

test("foreign containers with Berth's labels get no calls: one for an unknown runtime is removed, a copy does no harm", async () => {
  const [ours] = await containers();
  if (ours === undefined) throw new Error("it has no container");
  const copy = await forge(`${ours.name}-copy`, ours.image, ours.labels);
  const stranger = await forge(`${ours.name}-stranger`, ours.image, {
    ...ours.labels,
    "berth.runtime": "zzzzzzzzzz",
  });
  await eventually(async () =>
    (await site.engine.findContainer(stranger, AbortSignal.timeout(60_000))) === undefined ? true : undefined,
  );
  expect(await answers()).toEqual(["aye"]);
  await berth.kill("SIGKILL");
  berth = await start();
  expect(await answers()).toEqual(["aye"]);
  await site.engine.removeContainer(copy, AbortSignal.timeout(60_000));
  expect(await answers()).toEqual(["aye"]);
  expect((await containers()).map(({ id }) => id)).toEqual([ours.id]);
});

test("setting the clock forward and back an hour loses no call and no container, and installs continue", async () => {
  const before = (await containers()).map(({ id }) => id);
  const load = startLoad({
    urls: [berth.url],
    key: berth.adminKey,
    call: call(),
    perSecond: 5,
    expected: "aye",
  });
  for (const shiftMs of [HOUR_MS, 0, -HOUR_MS, 0]) {
    const open = callTool(berth, call({ messages: 30, delay_ms: 100 }));
    await setClock(shiftMs);
    const other = await install(berth, echo);
    expect(await toolTexts(berth, { ...call(), tenant: other.tenant })).toEqual(["aye"]);
    expect((await open).at(-1)).toMatchObject({ name: "end" });
    expect((await berth.request("GET", "/health/ready")).status).toBe(200);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect((await containers()).map(({ id }) => id)).toEqual(before);
});

test("a Berth that starts on a clock an hour behind that of the killed process does not wait for its leases", async () => {
  const before = (await containers()).map(({ id }) => id);
  await setClock(HOUR_MS);
  const other = await install(berth, echo);
  await berth.kill("SIGKILL");
  await writeFile(shiftFile, "0");
  berth = await start();
  expect(await answers()).toEqual(["aye"]);
  // Its keeper, too, holds the pool: what is killed now is started again.
  for (const { id, labels } of await site.containers())
    if (labels["berth.tenant"] === other.tenant)
      await site.engine.removeContainer(id, AbortSignal.timeout(60_000));
  await eventually(async () => {
    const answer = await askTool(berth, { ...call(), tenant: other.tenant });
    await answer.arrayBuffer();
    return answer.ok ? true : undefined;
  });
  expect((await containers()).map(({ id }) => id)).toEqual(before);
});
