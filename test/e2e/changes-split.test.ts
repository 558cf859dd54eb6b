/** Changes where apis and workers are processes of their own, and one of them dies in the middle. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { acceptChange, change, changeLimits, followChange, packEcho } from "../harness/clients/changes.ts";
import {
  type AcceptedInstall,
  askTool,
  type ErrorJson,
  eventually,
  getInstallation,
  historyOf,
  install,
  type PackedPlugin,
  streamTool,
  toolTexts,
} from "../harness/clients/client.ts";
import { startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { makeRedisServer, type RedisServer } from "../harness/servers/redis-server.ts";

const MIB = 1_048_576;

let redis: RedisServer;
let site: Site;
let apis: readonly BerthProcess[];
let worker: BerthProcess;
let one: PackedPlugin;
let two: PackedPlugin;
let installed: AcceptedInstall;

beforeAll(async () => {
  redis = await makeRedisServer();
  await redis.start();
  site = await openSite({
    database: "postgres",
    env: {
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      BERTH_PLUGIN_CALLS_MAX: "500",
      BERTH_REPLICA_BUSY_SECONDS: "1",
    },
  });
  const first = await site.start({}, "api");
  worker = await site.start({}, "worker");
  apis = [first, await site.start({}, "api")];
  const patient = {
    "manifest.yaml": (text: string) => text.replace(/^resource:/m, "timeout: 600\nresource:"),
  };
  one = await packEcho("0.0.1", patient);
  two = await packEcho("0.0.2", patient);
  for (const { bytes } of [one, two]) await first.json(201, "POST", "/v1/packages", { body: bytes });
  installed = await install(first, one);
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
});

const call = (parameters: Readonly<Record<string, unknown>>) => ({
  tenant: installed.tenant,
  pluginId: one.pluginId,
  tool: "echo",
  parameters,
});
const ask = async (api: BerthProcess) => (await toolTexts(api, call({ text: "aye" }))).join();

function both(): readonly [BerthProcess, BerthProcess] {
  const [first, second] = apis;
  if (first === undefined || second === undefined) throw new Error("no apis");
  return [first, second];
}

test("under a steady load over two apis, an upgrade, a rollback and a change of limits lose no call", async () => {
  const [first, second] = both();
  const stream = Array.fromAsync(streamTool(second, call({ text: "long", messages: 40, delay_ms: 400 })));
  const load = startLoad({
    urls: [first.url, second.url],
    key: first.adminKey,
    perSecond: 50,
    call: call({ text: "aye" }),
    expected: "aye",
  });
  await change(first, installed, "upgrade", { identifier: two.identifier });
  expect(await ask(first)).toBe("aye 0.0.2");
  // The other api hears of it a moment later; the old version answers until then.
  await eventually(async () => ((await ask(second)) === "aye 0.0.2" ? true : undefined));
  await change(second, installed, "rollback");
  await changeLimits(first, installed, { memory_bytes: 300 * MIB });
  const seen = load.done;
  await eventually(async () => (load.done > seen + 50 ? true : undefined));
  await load.stop();
  expect(load.failures).toEqual([]);
  const events = await stream;
  expect(events.map(({ name }) => name)).toEqual([...Array(40).fill("item"), "end"]);
  expect(JSON.stringify(events)).not.toContain("0.0.2");
}, 300_000);

test("a plugin that an api keeps busy gets a second container from the worker", async () => {
  const [first, second] = both();
  const ready = async () =>
    (await historyOf(first, installed)).filter(({ state }) => state === "ready").length;
  await changeLimits(first, installed, { replicas_max: 2 });
  const stream = Array.fromAsync(streamTool(second, call({ text: "long", messages: 40, delay_ms: 400 })));
  await eventually(async () => ((await ready()) === 2 ? true : undefined));
  await changeLimits(first, installed, { replicas_max: null });
  await eventually(async () => ((await ready()) === 1 ? true : undefined));
  expect((await stream).at(-1)).toMatchObject({ name: "end" });
}, 300_000);

test("a plugin disabled through one api refuses calls at the other, and answers again once the other api enables it", async () => {
  const [first, second] = both();
  expect(await ask(second)).toBe("aye 0.0.1");
  await change(first, installed, "disable");
  await eventually(async () => {
    const answer = await askTool(second, call({ text: "aye" }));
    const { error } = (await answer.json()) as { error?: ErrorJson };
    return error?.code === "plugin_disabled" ? true : undefined;
  }, 5_000);
  await change(second, installed, "enable");
  expect(await ask(first)).toBe("aye 0.0.1");
});

test("an upgrade whose worker is killed is completed by the next worker, and the old version serves until then", async () => {
  const [first, second] = both();
  const accepted = await acceptChange(first, installed, "upgrade", { identifier: two.identifier });
  const events = followChange(first, installed, accepted);
  await eventually(async () => {
    const { state } = await first.json<{ state: string }>(
      200,
      "GET",
      `/v1/tenants/${installed.tenant}/tasks/${accepted.task.id}`,
    );
    return state === "starting" || state === "building" ? true : undefined;
  });
  await worker.kill("SIGKILL");
  const interrupted = await getInstallation(first, installed);
  if (interrupted.identifier === one.identifier) expect(await ask(second)).toBe("aye 0.0.1");
  worker = await site.start({}, "worker");
  expect((await events).at(-1)).toMatchObject({ type: "end", state: "ready" });
  expect(await ask(first)).toBe("aye 0.0.2");
  // The other api was told by a worker that may have been killed before it told anybody: then it looks by itself.
  await eventually(async () => ((await ask(second)) === "aye 0.0.2" ? true : undefined), 5_000);
  const mine = await eventually(async () => {
    const found = (await site.containers()).filter(
      ({ labels }) => labels["berth.tenant"] === installed.tenant,
    );
    return found.length === 1 ? found : undefined;
  });
  expect(mine).toMatchObject([{ phase: "running" }]);
}, 120_000);
