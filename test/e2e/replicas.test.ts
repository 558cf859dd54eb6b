/** Plugins with more than one container: who answers, and what becomes of calls when the containers change. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { change, changeLimits, pathOf } from "../harness/clients/changes.ts";
import {
  type AcceptedInstall,
  eventually,
  getInstallation,
  historyOf,
  install,
  packPlugin,
  packVersion,
  toolTexts,
  uninstall,
} from "../harness/clients/client.ts";
import { startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const PER_SECOND = 20;

let site: Site;
let berth: BerthProcess;
let installed: AcceptedInstall;
beforeAll(async () => {
  const shared = { BERTH_SHARED_PLUGINS: "berth-tests/echo", BERTH_SHARED_REPLICAS_MIN: "2" };
  const scaling = { BERTH_SHARED_REPLICAS_MAX: "2", BERTH_REPLICA_BUSY_SECONDS: "0.5" };
  site = await openSite({ env: { ...shared, ...scaling } });
  berth = await site.start();
  installed = await install(berth, await packPlugin("one-at-a-time"));
});
afterAll(() => site?.[Symbol.asyncDispose]());

const work = (parameters: Readonly<Record<string, unknown>> = {}) => ({
  tenant: installed.tenant,
  pluginId: "berth-tests/one-at-a-time",
  tool: "work",
  parameters,
});
const live = async (of = installed) =>
  (await historyOf(berth, of)).filter(({ state }) => state !== "ended").toReversed();
const ready = (count: number, of = installed) =>
  eventually(async () => {
    const running = await live(of);
    return running.length === count && running.every(({ state }) => state === "ready") ? running : undefined;
  });
const place = async (id: string, name: string) => await writeFile(join(site.dataFolder, "run", id, name), "");

test("a plugin that tenants share has as many containers as the operator's setting, from its install on", async () => {
  const echo = await install(berth, await packPlugin("echo"));
  expect(await ready(2, echo)).toHaveLength(2);
  await eventually(async () => {
    const metrics = await (await berth.request("GET", "/metrics")).text();
    return metrics.includes('berth_runtimes_serving{plugin="berth-tests/echo"} 2') ? true : undefined;
  });
});

test("a wrong number of replicas is refused with the field, its value and what is accepted", async () => {
  const refusals: [object, object][] = [
    [
      { replicas_min: 0 },
      { field: "limits.replicas_min", value: 0, accepted: /from 1 to 4, or null for 1$/ },
    ],
    [
      { replicas_max: 5 },
      { field: "limits.replicas_max", value: 5, accepted: /from 1 to 4, or null for 1$/ },
    ],
    [
      { replicas_min: 2 },
      { field: "limits.replicas_min", value: 2, accepted: /from 1 to 1, which replicas_max is$/ },
    ],
  ];
  for (const [limits, details] of refusals) {
    const answer = await berth.request("PATCH", pathOf(installed), { body: { limits } });
    const { error } = (await answer.json()) as { error: { details: object } };
    const accepted = expect.stringMatching(Reflect.get(details, "accepted"));
    expect([answer.status, error.details]).toMatchObject([400, { ...details, accepted }]);
  }
  expect((await getInstallation(berth, installed)).limits_granted).toMatchObject({
    replicas_min: 1,
    replicas_max: 1,
  });
});

test("a busy plugin gets a second container, which answers the next call; both survive a kill of Berth", async () => {
  const [first] = await live();
  await changeLimits(berth, installed, { replicas_max: 2 });
  const held = toolTexts(berth, work({ until: "go" })).catch(() => "lost with Berth");
  const [, second] = await ready(2);
  expect(await live()).toMatchObject([{ id: first?.id }, { id: second?.id }]);
  // it would wait behind the first
  const [answered] = await toolTexts(berth, work());

  const containers = async () => (await site.containers()).map(({ id }) => id).toSorted();
  const before = { live: await live(), containers: await containers() };
  await berth.kill("SIGKILL");
  expect(await held).toBe("lost with Berth");
  berth = await site.start();
  expect(await ready(2)).toEqual(before.live);
  expect(await containers()).toEqual(before.containers);
  await place(first?.id ?? "", "go");
  const answers = new Set<unknown>();
  await eventually(async () => {
    const texts = await Promise.all([toolTexts(berth, work()), toolTexts(berth, work())]);
    for (const text of texts.flat()) answers.add(text);
    return answers.size === 2 ? true : undefined;
  });
  expect(answers).toContain(answered);
});

test("an upgrade with two running containers loses no call, and ends with two", async () => {
  await changeLimits(berth, installed, { replicas_min: 2 });
  const newer = await packVersion("one-at-a-time", "0.0.2");
  await berth.json(201, "POST", "/v1/packages", { body: newer.bytes });
  const load = startLoad({
    urls: [berth.url],
    key: berth.adminKey,
    call: work(),
    perSecond: PER_SECOND,
    expected: "text",
  });
  await change(berth, installed, "upgrade", { identifier: newer.identifier });
  const seen = load.done;
  await eventually(async () => (load.done > seen + PER_SECOND ? true : undefined));
  await load.stop();
  expect(load.failures).toEqual([]);
  await ready(2);
});

test("the end of one container fails no call in the other, and the container is replaced", async () => {
  const [first, second] = await ready(2);
  const held = toolTexts(berth, work({ until: "go" }));
  // the held call is in one of the two; this one is in the other
  const [other] = await toolTexts(berth, work());
  const container = (await site.containers()).find(({ id }) => id.startsWith(String(other)));
  await site.engine.killContainer(container?.id ?? "", AbortSignal.timeout(30_000));
  await eventually(async () => {
    const ids = (await ready(2)).map(({ id }) => id);
    return ids.includes(first?.id ?? "") && ids.includes(second?.id ?? "") ? undefined : true;
  });
  for (const { id } of await live()) await place(id, "go");
  expect(await held).not.toEqual([other]);
});

test("after a quiet time a plugin keeps only its minimum of containers, and the history reports scaled_in", async () => {
  const before = await ready(2);
  await berth.kill("SIGTERM");
  berth = await site.start({ BERTH_REPLICA_QUIET_SECONDS: "1" });
  expect(await ready(2)).toEqual(before);
  await changeLimits(berth, installed, { replicas_min: null });
  const [left] = await ready(1);
  expect(before).toContainEqual(left);
  const ends = (await historyOf(berth, installed)).flatMap(({ end }) => end?.cause ?? []);
  expect(ends.filter((cause) => cause === "scaled_in")).toHaveLength(1);
  await changeLimits(berth, installed, { replicas_min: 2 });
  await ready(2);
  await uninstall(berth, installed);
  const containers = (await site.containers()).filter(
    ({ labels }) => labels["berth.tenant"] === installed.tenant,
  );
  expect(containers).toEqual([]);
});
