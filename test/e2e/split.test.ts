/** Two apis and two workers on one host, one PostgreSQL, one Redis: any of them may go, nobody's call is lost. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AcceptedInstall,
  accept,
  askTool,
  aTenant,
  callTool,
  type ErrorJson,
  errorOf,
  eventually,
  follow,
  getInstallation,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  streamTool,
  type TaskEventJson,
  type ToolCall,
  toolRequest,
  toolTexts,
  uninstall,
  upload,
} from "../harness/clients/client.ts";
import { type LoadOptions, startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import type { Site } from "../harness/rigs/site.ts";
import {
  LEASE_MS,
  NAMES,
  type Name,
  openSplitSite,
  POLL_MS,
  type SplitSite,
} from "../harness/rigs/split-site.ts";
import { length } from "../harness/samples/lengths.ts";
import { startBalancer } from "../harness/servers/balancer.ts";

/** Calls of one plugin at once, over both apis. */
const CALLS_MAX = 40;
const SECOND = { short: 1_000, soak: 20_000 };

let split: SplitSite;
let site: Site;
let echo: PackedPlugin;
let shared: PackedPlugin;
/** An echo that all tests may call and none may break. */
let running: AcceptedInstall;

beforeAll(async () => {
  shared = await packPlugin("echo", {
    "manifest.yaml": (text) => text.replace(/^name: echo$/m, "name: shared"),
    "provider/echo.yaml": (text) => text.replace(/^ {2}name: echo$/m, "  name: shared"),
  });
  split = await openSplitSite({
    BERTH_PLUGIN_CALLS_MAX: String(CALLS_MAX),
    BERTH_SHARED_PLUGINS: shared.pluginId,
  });
  site = split.site;
  echo = await packPlugin("echo");
});
afterAll(() => split?.[Symbol.asyncDispose]());

const echoCall = (tenant: string, parameters: ToolCall["parameters"] = { text: "aye" }): ToolCall => ({
  tenant,
  pluginId: echo.pluginId,
  tool: "echo",
  parameters,
});

function startCalls(changes: Partial<LoadOptions> = {}) {
  return startLoad({
    urls: [split.get("api-1").url, split.get("api-2").url],
    key: split.get("api-1").adminKey,
    call: echoCall(running.tenant),
    perSecond: 50,
    expected: '"aye"',
    ...changes,
  });
}

test("four processes that start at once on an empty database agree on one instance, and report how many they are", async () => {
  await split.counted(2, 2);
  expect(new Set(NAMES.map((name) => instanceOf(split.get(name)))).size).toBe(1);
  for (const name of ["worker-1", "worker-2"] as const) {
    expect(await split.ready(name)).toMatchObject({
      status: "ready",
      processes: { apis: 2, workers: 2 },
      parts: { database: { ok: true }, queue: { ok: true }, engine: { ok: true } },
    });
  }
  expect((await split.ready("api-1")).parts).not.toHaveProperty("engine");
});

test("ten simultaneous installs of one package at both apis share one build and one container, which answers through both", async () => {
  await upload(split.get("api-1"), echo);
  const tenant = aTenant();
  const asked = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      accept(split.get(index % 2 === 0 ? "api-1" : "api-2"), echo, tenant),
    ),
  );
  expect(new Set(asked.map(({ taskId }) => taskId)).size).toBe(1);
  const ends = await Promise.all(
    asked.map((one, index) => follow(split.get(index % 2 === 0 ? "api-2" : "api-1"), one)),
  );
  for (const events of ends) expectReady(events);
  running = asked[0] ?? (await install(split.get("api-1"), echo));
  expect(await site.images()).toHaveLength(1);
  expect(await site.containers("build")).toEqual([]);
  expect((await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant)).toHaveLength(1);
  for (const name of ["api-1", "api-2"] as const)
    expect(await toolTexts(split.get(name), echoCall(tenant))).toEqual(["aye"]);
});

test("ten tenants that share a plugin and install it at both apis at once get one build and one container", async () => {
  await upload(split.get("api-2"), shared);
  const images = (await site.images()).length;
  const apis = [split.get("api-1"), split.get("api-2")] as const;
  const asked = await Promise.all(
    Array.from({ length: 10 }, (_, index) => accept(apis[index % 2 === 0 ? 0 : 1], shared)),
  );
  for (const one of asked) expectReady(await follow(apis[0], one));
  expect(await site.images()).toHaveLength(images + 1);
  const made = await site.rows(
    `SELECT r.state, r."end" FROM berth_runtimes r JOIN berth_pools ON key = pool_key
     WHERE r.plugin_id = '${shared.pluginId}'`,
  );
  expect(made).toEqual([{ state: "ready", end: null }]);
  const containers = (await site.containers()).length;
  for (const { tenant } of asked) {
    const call = { ...echoCall(tenant), pluginId: shared.pluginId };
    expect(await toolTexts(apis[1], call)).toEqual(["aye"]);
  }
  // Whoever does it, and whoever keeps the pool: the last one takes the container with it.
  await Promise.all(asked.map((one, index) => uninstall(apis[index % 2 === 0 ? 1 : 0], one)));
  expect(await site.containers()).toHaveLength(containers - 1);
  const pools = await site.rows(`SELECT key FROM berth_pools WHERE plugin_id = '${shared.pluginId}'`);
  expect(pools).toEqual([]);
});

test("each api accepts its share of a plugin's calls, and reports the limits when it refuses a call", async () => {
  await split.counted(2, 2);
  const slow = echoCall(running.tenant, { text: "slow", messages: 1, delay_ms: 3_000 });
  const open = Array.from({ length: CALLS_MAX / 2 }, () => callTool(split.get("api-1"), slow));
  const refused = await eventually(async () => {
    const { path, body } = toolRequest(echoCall(running.tenant));
    const headers = { accept: "application/json", "x-timeout-ms": "200" };
    const answer = await split.get("api-1").request("POST", path, { body, headers });
    return answer.ok ? undefined : ((await answer.json()) as { error: ErrorJson }).error;
  });
  expect(refused).toMatchObject({
    code: "busy",
    details: { inFlight: 20, inFlightMax: 20, concurrencyMax: CALLS_MAX, processes: 2 },
  });
  expect(await toolTexts(split.get("api-2"), echoCall(running.tenant))).toEqual(["aye"]);
  for (const events of await Promise.all(open)) expect(events.at(-1)).toMatchObject({ name: "end" });
});

test("when the worker that keeps a plugin is killed under load, the other takes over within its lease, and no call fails", async () => {
  const keeper = await split.keeperOf(running);
  const other = keeper === "worker-1" ? "worker-2" : "worker-1";
  const before = await split.containerOf(running.tenant);
  const load = startCalls();
  await eventually(async () => (load.done > 25 ? true : undefined));
  const killedAt = Date.now();
  await split.get(keeper).kill("SIGKILL");
  await eventually(async () =>
    (await split.keeperOf(running).catch(() => keeper)) === other ? true : undefined,
  );
  const tookMs = Date.now() - killedAt;
  const until = Date.now() + length(SECOND);
  await eventually(async () => (Date.now() > until ? true : undefined), 120_000);
  await load.stop();
  expect(load.failures).toEqual([]);
  // One look of the other one at the rows, and the machine's own slowness.
  expect(tookMs).toBeLessThan(LEASE_MS + POLL_MS + 1_500);
  expect((await split.containerOf(running.tenant))?.id).toBe(before?.id);
  // It is its own to keep now.
  await site.engine.killContainer(before?.id ?? "", AbortSignal.timeout(10_000));
  const after = await eventually(async () => {
    const found = await split.containerOf(running.tenant);
    return found !== undefined && found.id !== before?.id ? found : undefined;
  });
  expect(after.phase).toBe("running");
  await eventually(() => toolTexts(split.get("api-1"), echoCall(running.tenant)).catch(() => undefined));
  // The log is written a moment after what it tells of.
  await eventually(async () =>
    split.get(other).log.some(({ op, ok }) => op === "runtime.launch" && ok === true) ? true : undefined,
  );
  await split.start(keeper);
  await split.counted(2, 2);
});

test("when a worker is killed during a build, the other worker completes the install with one image and one container", async () => {
  const plugin = await packVersion("echo", "1.5.0");
  await upload(split.get("api-1"), plugin);
  const images = (await site.images()).length;
  const accepted = await accept(split.get("api-1"), plugin);
  await eventually(async () => ((await site.containers("build")).length > 0 ? true : undefined));
  const builder = await split.builderOf(accepted);
  await split.get(builder).kill("SIGKILL");
  expectReady(await follow(split.get("api-2"), accepted));
  expect(await toolTexts(split.get("api-1"), echoCall(accepted.tenant))).toEqual(["aye"]);
  expect(await site.images()).toHaveLength(images + 1);
  expect(await site.containers("build")).toEqual([]);
  expect((await split.containerOf(accepted.tenant))?.phase).toBe("running");
  await split.start(builder);
  await split.counted(2, 2);
});

test("a call that loses its container fails as plugin_crashed at an api that has no engine", async () => {
  const call = streamTool(
    split.get("api-2"),
    echoCall(running.tenant, { text: "x", messages: 100, delay_ms: 100 }),
  );
  await call.next();
  const container = await split.containerOf(running.tenant);
  await site.engine.killContainer(container?.id ?? "", AbortSignal.timeout(10_000));
  expect(errorOf(await Array.fromAsync(call))).toMatchObject({ code: "plugin_crashed" });
  await eventually(() => toolTexts(split.get("api-2"), echoCall(running.tenant)).catch(() => undefined));
});

test("when an api is killed, its open streams break off, and those of the other api end complete", async () => {
  const messages = 15;
  const slow = echoCall(running.tenant, { text: "slow", messages, delay_ms: 100 });
  const openAt = async (name: Name) => {
    const streams = Array.from({ length: 3 }, () => streamTool(split.get(name), slow));
    for (const stream of streams) expect(await stream.next()).toMatchObject({ value: { name: "item" } });
    return streams;
  };
  const [broken, whole] = [await openAt("api-1"), await openAt("api-2")];
  await split.get("api-1").kill("SIGKILL");
  for (const stream of broken) await expect(Array.fromAsync(stream)).rejects.toThrow();
  for (const stream of whole) {
    const rest = await Array.fromAsync(stream);
    expect(rest.at(-1)).toEqual({ name: "end", data: { items: messages } });
  }
  // Its share of the calls falls to the one that is left, and its socket is taken from the plugin's folder.
  await split.counted(1, 2);
  await split.start("api-1");
  expect(await toolTexts(split.get("api-1"), echoCall(running.tenant))).toEqual(["aye"]);
  await split.counted(2, 2);
});

test("a key that is revoked at one api is refused at the other within its poll interval", async () => {
  const { key, id } = await split.get("api-1").json<{ key: string; id: string }>(201, "POST", "/v1/keys", {
    body: { name: "split", tenant_id: running.tenant },
  });
  const path = `/v1/tenants/${running.tenant}/installations`;
  await eventually(async () =>
    (await split.get("api-2").request("GET", path, { key })).ok ? true : undefined,
  );
  await split.get("api-1").request("DELETE", `/v1/keys/${id}`);
  const revokedAt = Date.now();
  expect((await split.get("api-1").request("GET", path, { key })).status).toBe(401);
  await eventually(async () =>
    (await split.get("api-2").request("GET", path, { key })).status === 401 ? true : undefined,
  );
  expect(Date.now() - revokedAt).toBeLessThan(POLL_MS + 1_000);
});

test("an uninstall at one api ends open calls at the other as plugin_crashed", async () => {
  const mine = await install(split.get("api-1"), echo);
  expect(await toolTexts(split.get("api-2"), echoCall(mine.tenant))).toEqual(["aye"]);
  const open = streamTool(
    split.get("api-2"),
    echoCall(mine.tenant, { text: "x", messages: 100, delay_ms: 100 }),
  );
  await open.next();
  await uninstall(split.get("api-1"), mine);
  expect(errorOf(await Array.fromAsync(open))).toMatchObject({ code: "plugin_crashed" });
  await eventually(async () => {
    const answer = await askTool(split.get("api-2"), echoCall(mine.tenant));
    const { error } = (await answer.json()) as { error: ErrorJson };
    expect(["installation_not_found", "plugin_not_ready"]).toContain(error.code);
    return answer.status === 404 ? true : undefined;
  });
});

test("apis without any worker answer calls and accept installs; a worker that starts later completes the installs", async () => {
  const before = await split.containerOf(running.tenant);
  await split.stop("worker-1", "worker-2");
  await split.counted(2, 0);
  const load = startCalls();
  const plugin = await packVersion("echo", "2.0.0");
  await upload(split.get("api-1"), plugin);
  const accepted = [await accept(split.get("api-1"), plugin), await accept(split.get("api-2"), plugin)];
  await eventually(async () => (load.done > 50 ? true : undefined));
  for (const one of accepted) {
    const { state } = await split
      .get("api-2")
      .json(200, "GET", `/v1/tenants/${one.tenant}/tasks/${one.taskId}`);
    expect(state).toBe("queued");
    expect((await getInstallation(split.get("api-1"), one)).state).toBe("installing");
  }
  await split.start("worker-1");
  for (const one of accepted) {
    expectReady(await follow(split.get("api-1"), one));
    expect(await toolTexts(split.get("api-2"), echoCall(one.tenant))).toEqual(["aye"]);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect((await split.containerOf(running.tenant))?.id).toBe(before?.id);
});

test("an idle plugin is started by the worker when an api receives a call, and keeps running while it is used", async () => {
  await split.stop("worker-1", "api-2");
  const idle = { BERTH_IDLE_STOP_SECONDS: "1" };
  await Promise.all([split.start("worker-2", idle), split.start("api-2", idle)]);
  await eventually(async () => ((await split.containerOf(running.tenant)) === undefined ? true : undefined));
  expect(await toolTexts(split.get("api-2"), echoCall(running.tenant))).toEqual(["aye"]);
  // In use it is not idle, whichever api it is used through.
  const load = startCalls({ urls: [split.get("api-2").url], perSecond: 10 });
  const [before] = await split.liveRuntimes(running);
  await eventually(async () => (load.done > 30 ? true : undefined));
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(await split.liveRuntimes(running)).toEqual([before]);
  await split.stop("worker-2", "api-2");
  await Promise.all((["worker-1", "worker-2", "api-2"] as const).map((name) => split.start(name)));
  await split.counted(2, 2);
});

test("a worker that stops on SIGTERM hands its plugins over without waiting for a lease to expire", async () => {
  const keeper = await split.keeperOf(running);
  const other = keeper === "worker-1" ? "worker-2" : "worker-1";
  await split.stop(keeper);
  const stoppedAt = Date.now();
  await eventually(async () =>
    (await split.keeperOf(running).catch(() => keeper)) === other ? true : undefined,
  );
  expect(Date.now() - stoppedAt).toBeLessThan(LEASE_MS / 2);
  await split.start(keeper);
});

test("a restart of every process in turn, under 50 calls a second through a load balancer, fails no call", async () => {
  await using balancer = await startBalancer([
    new URL(split.get("api-1").url),
    new URL(split.get("api-2").url),
  ]);
  const load = startCalls({ urls: [balancer.url] });
  const began = Date.now();
  do {
    for (const name of NAMES) {
      const ended = await split.get(name).kill("SIGTERM");
      expect(ended).toEqual({ code: 0, signal: null });
      await split.start(name);
      await split.ready(name);
    }
  } while (Date.now() - began < length({ short: 1, soak: 60_000 }));
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.done).toBeGreaterThan(50);
}, 400_000);

function expectReady(events: readonly TaskEventJson[]): void {
  const { type, state, cause } = events.at(-1) ?? {};
  expect({ type, state, cause }).toEqual({ type: "end", state: "ready", cause: undefined });
}

function instanceOf(berth: BerthProcess): unknown {
  return berth.log.find(({ op }) => op === "http.listen")?.["instance"];
}
