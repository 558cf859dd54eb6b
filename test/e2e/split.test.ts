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
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length } from "../harness/samples/lengths.ts";
import { startBalancer } from "../harness/servers/balancer.ts";
import { freePort } from "../harness/servers/free-port.ts";
import { makeRedisServer, type RedisServer } from "../harness/servers/redis-server.ts";

const LEASE_MS = 4_000;
const POLL_MS = 300;
/** Calls of one plugin at once, over both apis. */
const CALLS_MAX = 40;
const SECOND = { short: 1_000, soak: 20_000 };

type Name = "api-1" | "api-2" | "worker-1" | "worker-2";
const NAMES: readonly Name[] = ["api-1", "api-2", "worker-1", "worker-2"];

let redis: RedisServer;
let site: Site;
let ports: ReadonlyMap<Name, number>;
const processes = new Map<Name, BerthProcess>();
let echo: PackedPlugin;
let shared: PackedPlugin;
/** An echo that all tests may call and none may break. */
let running: AcceptedInstall;

beforeAll(async () => {
  redis = await makeRedisServer();
  await redis.start();
  shared = await packPlugin("echo", {
    "manifest.yaml": (text) => text.replace(/^name: echo$/m, "name: shared"),
    "provider/echo.yaml": (text) => text.replace(/^ {2}name: echo$/m, "  name: shared"),
  });
  site = await openSite({
    database: "postgres",
    env: {
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      BERTH_LEASE_SECONDS: String(LEASE_MS / 1000),
      BERTH_PLUGIN_CALLS_MAX: String(CALLS_MAX),
      BERTH_SHARED_PLUGINS: shared.pluginId,
    },
  });
  ports = new Map(await Promise.all(NAMES.map(async (name) => [name, await freePort()] as const)));
  // All at once, on an empty database: one of them makes the tables, the instance id, the key and the network.
  for (const one of await Promise.allSettled(NAMES.map((name) => start(name))))
    if (one.status === "rejected") throw one.reason;
  echo = await packPlugin("echo");
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  await redis?.[Symbol.asyncDispose]();
});

async function start(name: Name, changes: Readonly<Record<string, string>> = {}): Promise<BerthProcess> {
  const role = name.startsWith("api") ? "api" : "worker";
  const made = await site.start({ BERTH_PORT: String(ports.get(name)), ...changes }, role);
  processes.set(name, made);
  return made;
}

function get(name: Name): BerthProcess {
  const found = processes.get(name);
  if (found === undefined) throw new Error(`${name} has not been started`);
  return found;
}

async function stop(...names: readonly Name[]): Promise<void> {
  await Promise.all(names.map((name) => get(name).kill("SIGTERM")));
}

const echoCall = (tenant: string, parameters: ToolCall["parameters"] = { text: "aye" }): ToolCall => ({
  tenant,
  pluginId: echo.pluginId,
  tool: "echo",
  parameters,
});

interface Readiness {
  readonly status: string;
  readonly parts: Readonly<Record<string, { readonly ok: boolean }>>;
  readonly processes: { readonly apis: number; readonly workers: number };
}

/** What it says once all its parts answer, which on a machine with much else to do may take its time. */
function ready(name: Name): Promise<Readiness> {
  return eventually(() =>
    get(name)
      .json<Readiness>(200, "GET", "/health/ready")
      .catch(() => undefined),
  );
}

/** Each api's own word on how many live. */
async function counted(apis: number, workers: number): Promise<void> {
  for (const name of ["api-1", "api-2"] as const) {
    if (!(await isUp(get(name)))) continue;
    await eventually(async () => {
      const { processes: seen } = await ready(name);
      return seen.apis === apis && seen.workers === workers ? true : undefined;
    });
  }
}

const isUp = (berth: BerthProcess) =>
  berth.request("GET", "/health").then(
    ({ ok }) => ok,
    () => false,
  );

/** The worker that holds the lease of the installation's pool, once one does. */
async function keeperOf({ installationId }: Pick<AcceptedInstall, "installationId">): Promise<Name> {
  const rows = await site.rows(
    `SELECT p.pid FROM berth_pools JOIN berth_processes p ON p.id = holder
     WHERE lease_expires_at > clock_timestamp()
       AND key = (SELECT pool_key FROM berth_installations WHERE id = '${installationId}')`,
  );
  const keeper = [...processes].find(([, { pid }]) => pid === rows[0]?.["pid"]);
  if (keeper === undefined) throw new Error("nobody holds the lease");
  return keeper[0];
}

async function containerOf(tenant: string) {
  const [found, ...more] = (await site.containers()).filter(
    ({ labels, phase }) => labels["berth.tenant"] === tenant && phase === "running",
  );
  if (more.length > 0) throw new Error("there is more than one");
  return found;
}

function startCalls(changes: Partial<LoadOptions> = {}) {
  return startLoad({
    urls: [get("api-1").url, get("api-2").url],
    key: get("api-1").adminKey,
    call: echoCall(running.tenant),
    perSecond: 50,
    expected: '"aye"',
    ...changes,
  });
}

test("four processes that start at once on an empty database agree on one instance, and report how many they are", async () => {
  await counted(2, 2);
  expect(new Set(NAMES.map((name) => instanceOf(get(name)))).size).toBe(1);
  for (const name of ["worker-1", "worker-2"] as const) {
    expect(await ready(name)).toMatchObject({
      status: "ready",
      processes: { apis: 2, workers: 2 },
      parts: { database: { ok: true }, queue: { ok: true }, engine: { ok: true } },
    });
  }
  expect((await ready("api-1")).parts).not.toHaveProperty("engine");
});

test("ten simultaneous installs of one package at both apis share one build and one container, which answers through both", async () => {
  await upload(get("api-1"), echo);
  const tenant = aTenant();
  const asked = await Promise.all(
    Array.from({ length: 10 }, (_, index) => accept(get(index % 2 === 0 ? "api-1" : "api-2"), echo, tenant)),
  );
  expect(new Set(asked.map(({ taskId }) => taskId)).size).toBe(1);
  const ends = await Promise.all(
    asked.map((one, index) => follow(get(index % 2 === 0 ? "api-2" : "api-1"), one)),
  );
  for (const events of ends) expectReady(events);
  running = asked[0] ?? (await install(get("api-1"), echo));
  expect(await site.images()).toHaveLength(1);
  expect(await site.containers("build")).toEqual([]);
  expect((await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant)).toHaveLength(1);
  for (const name of ["api-1", "api-2"] as const)
    expect(await toolTexts(get(name), echoCall(tenant))).toEqual(["aye"]);
});

test("ten tenants that share a plugin and install it at both apis at once get one build and one container", async () => {
  await upload(get("api-2"), shared);
  const images = (await site.images()).length;
  const apis = [get("api-1"), get("api-2")] as const;
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
  await counted(2, 2);
  const slow = echoCall(running.tenant, { text: "slow", messages: 1, delay_ms: 3_000 });
  const open = Array.from({ length: CALLS_MAX / 2 }, () => callTool(get("api-1"), slow));
  const refused = await eventually(async () => {
    const { path, body } = toolRequest(echoCall(running.tenant));
    const headers = { accept: "application/json", "x-timeout-ms": "200" };
    const answer = await get("api-1").request("POST", path, { body, headers });
    return answer.ok ? undefined : ((await answer.json()) as { error: ErrorJson }).error;
  });
  expect(refused).toMatchObject({
    code: "busy",
    details: { inFlight: 20, inFlightMax: 20, concurrencyMax: CALLS_MAX, processes: 2 },
  });
  expect(await toolTexts(get("api-2"), echoCall(running.tenant))).toEqual(["aye"]);
  for (const events of await Promise.all(open)) expect(events.at(-1)).toMatchObject({ name: "end" });
});

test("when the worker that keeps a plugin is killed under load, the other takes over within its lease, and no call fails", async () => {
  const keeper = await keeperOf(running);
  const other = keeper === "worker-1" ? "worker-2" : "worker-1";
  const before = await containerOf(running.tenant);
  const load = startCalls();
  await eventually(async () => (load.done > 25 ? true : undefined));
  const killedAt = Date.now();
  await get(keeper).kill("SIGKILL");
  await eventually(async () => ((await keeperOf(running).catch(() => keeper)) === other ? true : undefined));
  const tookMs = Date.now() - killedAt;
  const until = Date.now() + length(SECOND);
  await eventually(async () => (Date.now() > until ? true : undefined), 120_000);
  await load.stop();
  expect(load.failures).toEqual([]);
  // One look of the other one at the rows, and the machine's own slowness.
  expect(tookMs).toBeLessThan(LEASE_MS + POLL_MS + 1_500);
  expect((await containerOf(running.tenant))?.id).toBe(before?.id);
  // It is its own to keep now.
  await site.engine.killContainer(before?.id ?? "", AbortSignal.timeout(10_000));
  const after = await eventually(async () => {
    const found = await containerOf(running.tenant);
    return found !== undefined && found.id !== before?.id ? found : undefined;
  });
  expect(after.phase).toBe("running");
  await eventually(() => toolTexts(get("api-1"), echoCall(running.tenant)).catch(() => undefined));
  // The log is written a moment after what it tells of.
  await eventually(async () =>
    get(other).log.some(({ op, ok }) => op === "runtime.launch" && ok === true) ? true : undefined,
  );
  await start(keeper);
  await counted(2, 2);
});

test("when a worker is killed during a build, the other worker completes the install with one image and one container", async () => {
  const plugin = await packVersion("echo", "1.5.0");
  await upload(get("api-1"), plugin);
  const images = (await site.images()).length;
  const accepted = await accept(get("api-1"), plugin);
  await eventually(async () => ((await site.containers("build")).length > 0 ? true : undefined));
  const [task] = await site.rows(
    `SELECT p.pid FROM berth_tasks t JOIN berth_processes p ON p.id = split_part(t.holder, '/', 1)
     WHERE t.id = '${accepted.taskId}'`,
  );
  const builder = NAMES.find((name) => get(name).pid === task?.["pid"]);
  if (builder === undefined) throw new Error("nobody holds the task");
  await get(builder).kill("SIGKILL");
  expectReady(await follow(get("api-2"), accepted));
  expect(await toolTexts(get("api-1"), echoCall(accepted.tenant))).toEqual(["aye"]);
  expect(await site.images()).toHaveLength(images + 1);
  expect(await site.containers("build")).toEqual([]);
  expect((await containerOf(accepted.tenant))?.phase).toBe("running");
  await start(builder);
  await counted(2, 2);
});

test("a call that loses its container fails as plugin_crashed at an api that has no engine", async () => {
  const call = streamTool(
    get("api-2"),
    echoCall(running.tenant, { text: "x", messages: 100, delay_ms: 100 }),
  );
  await call.next();
  const container = await containerOf(running.tenant);
  await site.engine.killContainer(container?.id ?? "", AbortSignal.timeout(10_000));
  expect(errorOf(await Array.fromAsync(call))).toMatchObject({ code: "plugin_crashed" });
  await eventually(() => toolTexts(get("api-2"), echoCall(running.tenant)).catch(() => undefined));
});

test("when an api is killed, its open streams break off, and those of the other api end complete", async () => {
  const messages = 15;
  const slow = echoCall(running.tenant, { text: "slow", messages, delay_ms: 100 });
  const openAt = async (name: Name) => {
    const streams = Array.from({ length: 3 }, () => streamTool(get(name), slow));
    for (const stream of streams) expect(await stream.next()).toMatchObject({ value: { name: "item" } });
    return streams;
  };
  const [broken, whole] = [await openAt("api-1"), await openAt("api-2")];
  await get("api-1").kill("SIGKILL");
  for (const stream of broken) await expect(Array.fromAsync(stream)).rejects.toThrow();
  for (const stream of whole) {
    const rest = await Array.fromAsync(stream);
    expect(rest.at(-1)).toEqual({ name: "end", data: { items: messages } });
  }
  // Its share of the calls falls to the one that is left, and its socket is taken from the plugin's folder.
  await counted(1, 2);
  await start("api-1");
  expect(await toolTexts(get("api-1"), echoCall(running.tenant))).toEqual(["aye"]);
  await counted(2, 2);
});

test("a key that is revoked at one api is refused at the other within its poll interval", async () => {
  const { key, id } = await get("api-1").json<{ key: string; id: string }>(201, "POST", "/v1/keys", {
    body: { name: "split", tenant_id: running.tenant },
  });
  const path = `/v1/tenants/${running.tenant}/installations`;
  await eventually(async () => ((await get("api-2").request("GET", path, { key })).ok ? true : undefined));
  await get("api-1").request("DELETE", `/v1/keys/${id}`);
  const revokedAt = Date.now();
  expect((await get("api-1").request("GET", path, { key })).status).toBe(401);
  await eventually(async () =>
    (await get("api-2").request("GET", path, { key })).status === 401 ? true : undefined,
  );
  expect(Date.now() - revokedAt).toBeLessThan(POLL_MS + 1_000);
});

test("an uninstall at one api ends open calls at the other as plugin_crashed", async () => {
  const mine = await install(get("api-1"), echo);
  expect(await toolTexts(get("api-2"), echoCall(mine.tenant))).toEqual(["aye"]);
  const open = streamTool(get("api-2"), echoCall(mine.tenant, { text: "x", messages: 100, delay_ms: 100 }));
  await open.next();
  await uninstall(get("api-1"), mine);
  expect(errorOf(await Array.fromAsync(open))).toMatchObject({ code: "plugin_crashed" });
  await eventually(async () => {
    const answer = await askTool(get("api-2"), echoCall(mine.tenant));
    const { error } = (await answer.json()) as { error: ErrorJson };
    expect(["installation_not_found", "plugin_not_ready"]).toContain(error.code);
    return answer.status === 404 ? true : undefined;
  });
});

test("apis without any worker answer calls and accept installs; a worker that starts later completes the installs", async () => {
  const before = await containerOf(running.tenant);
  await stop("worker-1", "worker-2");
  await counted(2, 0);
  const load = startCalls();
  const plugin = await packVersion("echo", "2.0.0");
  await upload(get("api-1"), plugin);
  const accepted = [await accept(get("api-1"), plugin), await accept(get("api-2"), plugin)];
  await eventually(async () => (load.done > 50 ? true : undefined));
  for (const one of accepted) {
    const { state } = await get("api-2").json(200, "GET", `/v1/tenants/${one.tenant}/tasks/${one.taskId}`);
    expect(state).toBe("queued");
    expect((await getInstallation(get("api-1"), one)).state).toBe("installing");
  }
  await start("worker-1");
  for (const one of accepted) {
    expectReady(await follow(get("api-1"), one));
    expect(await toolTexts(get("api-2"), echoCall(one.tenant))).toEqual(["aye"]);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
  expect((await containerOf(running.tenant))?.id).toBe(before?.id);
});

test("an idle plugin is started by the worker when an api receives a call, and keeps running while it is used", async () => {
  await stop("worker-1", "api-2");
  const idle = { BERTH_IDLE_STOP_SECONDS: "1" };
  await Promise.all([start("worker-2", idle), start("api-2", idle)]);
  await eventually(async () => ((await containerOf(running.tenant)) === undefined ? true : undefined));
  expect(await toolTexts(get("api-2"), echoCall(running.tenant))).toEqual(["aye"]);
  // In use it is not idle, whichever api it is used through.
  const load = startCalls({ urls: [get("api-2").url], perSecond: 10 });
  const [before] = await liveRuntimes();
  await eventually(async () => (load.done > 30 ? true : undefined));
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(await liveRuntimes()).toEqual([before]);
  await stop("worker-2", "api-2");
  await Promise.all((["worker-1", "worker-2", "api-2"] as const).map((name) => start(name)));
  await counted(2, 2);
});

test("a worker that stops on SIGTERM hands its plugins over without waiting for a lease to expire", async () => {
  const keeper = await keeperOf(running);
  const other = keeper === "worker-1" ? "worker-2" : "worker-1";
  await stop(keeper);
  const stoppedAt = Date.now();
  await eventually(async () => ((await keeperOf(running).catch(() => keeper)) === other ? true : undefined));
  expect(Date.now() - stoppedAt).toBeLessThan(LEASE_MS / 2);
  await start(keeper);
});

test("a restart of every process in turn, under 50 calls a second through a load balancer, fails no call", async () => {
  await using balancer = await startBalancer([new URL(get("api-1").url), new URL(get("api-2").url)]);
  const load = startCalls({ urls: [balancer.url] });
  const began = Date.now();
  do {
    for (const name of NAMES) {
      const ended = await get(name).kill("SIGTERM");
      expect(ended).toEqual({ code: 0, signal: null });
      await start(name);
      await ready(name);
    }
  } while (Date.now() - began < length({ short: 1, soak: 60_000 }));
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.done).toBeGreaterThan(50);
}, 400_000);

async function liveRuntimes(): Promise<readonly unknown[]> {
  const rows = await site.rows(
    `SELECT r.id FROM berth_runtimes r JOIN berth_installations i ON i.pool_key = r.pool_key
     WHERE r.state = 'ready' AND i.id = '${running.installationId}'`,
  );
  return rows.map(({ id }) => id);
}

function expectReady(events: readonly TaskEventJson[]): void {
  const { type, state, cause } = events.at(-1) ?? {};
  expect({ type, state, cause }).toEqual({ type: "end", state: "ready", cause: undefined });
}

function instanceOf(berth: BerthProcess): unknown {
  return berth.log.find(({ op }) => op === "http.listen")?.["instance"];
}
