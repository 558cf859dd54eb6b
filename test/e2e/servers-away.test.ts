/** `berth api` and `berth worker` while PostgreSQL, or Redis, is cut off for a while: a network that fails, not a server. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  accept,
  aTenant,
  type ErrorJson,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import { startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length } from "../harness/samples/lengths.ts";
import { makeAuthority } from "../harness/servers/authority.ts";
import { makePostgresServer } from "../harness/servers/postgres-server.ts";
import { makeRedisServer } from "../harness/servers/redis-server.ts";
import { Relay } from "../harness/servers/relay.ts";

const AWAY_SECONDS = length({ short: 3, soak: 60 });
const CALLS_PER_SECOND = 5;

const scope = new Scope();
const relays = new Map<string, Relay>();
let site: Site;
let api: BerthProcess;
let echo: PackedPlugin;
let running: AcceptedInstall;

beforeAll(async () => {
  const authority = scope.use(await makeAuthority());
  const certificate = await authority.issue(["DNS:localhost"]);
  const postgres = scope.use(await makePostgresServer({ certificate }));
  const redis = scope.use(await makeRedisServer());
  await Promise.all([postgres.start(), redis.start()]);
  await postgres.query("CREATE ROLE plain LOGIN PASSWORD 'plain'");
  await postgres.query("CREATE DATABASE berth OWNER plain");
  const [toPostgres, toRedis] = [await relayTo(postgres.port), await relayTo(redis.port)];
  relays.set("PostgreSQL", toPostgres).set("Redis", toRedis);
  site = scope.use(
    await openSite({
      env: {
        DATABASE_URL: `postgresql://plain:plain@127.0.0.1:${toPostgres.port}/berth?sslmode=disable`,
        REDIS_URL: `redis://127.0.0.1:${toRedis.port}`,
      },
    }),
  );
  [api] = await Promise.all([site.start({}, "api"), site.start({}, "worker")]);
  echo = await packPlugin("echo");
  running = await install(api, echo);
});
afterAll(() => scope.close());

async function relayTo(port: number): Promise<Relay> {
  const relay = scope.use(new Relay({ host: "127.0.0.1", port }));
  await relay.open();
  return relay;
}

const call = (tenant: string) => ({
  tenant,
  pluginId: echo.pluginId,
  tool: "echo",
  parameters: { text: "aye" },
});
const containers = async () =>
  (await site.containers())
    .filter(({ labels }) => labels["berth.tenant"] === running.tenant)
    .map(({ id }) => id);
const isReady = async () => ((await api.request("GET", "/health/ready")).ok ? true : undefined);

describe.each([
  { server: "PostgreSQL", part: "database", code: "store_unavailable" },
  { server: "Redis", part: "queue", code: "queue_unavailable" },
])("while $server is cut off", ({ server, part, code }) => {
  test("calls are answered by the same container, refusals name the server, and accepted installs continue afterwards", async () => {
    const relay = relays.get(server);
    if (relay === undefined) throw new Error(`nothing stands before ${server}`);
    const before = await containers();
    const plugin = await packVersion("echo", `2.0.${server.length}`);
    await upload(api, plugin);
    const accepted = [await accept(api, plugin)];
    const load = startLoad({
      urls: [api.url],
      key: api.adminKey,
      call: call(running.tenant),
      expected: "aye",
      perSecond: CALLS_PER_SECOND,
    });
    await relay.cut();
    await eventually(async () => ((await isReady()) === undefined ? true : undefined));
    expect(await api.json(503, "GET", "/health/ready")).toMatchObject({
      parts: { [part]: { ok: false, code } },
    });
    if (server === "Redis") accepted.push(await accept(api, echo));
    else {
      const path = `/v1/tenants/${aTenant()}/installations`;
      const refusal = await api.json<{ error: ErrorJson }>(503, "POST", path, {
        body: { identifier: echo.identifier },
      });
      expect(refusal.error.code).toBe(code);
    }
    const until = load.done + AWAY_SECONDS * CALLS_PER_SECOND;
    await eventually(async () => (load.done >= until ? true : undefined), 1000 * AWAY_SECONDS + 60_000);
    await relay.open();
    await eventually(isReady);
    for (const one of accepted) {
      expect((await follow(api, one)).at(-1)).toMatchObject({ state: "ready" });
      expect(await toolTexts(api, call(one.tenant))).toEqual(["aye"]);
    }
    await load.stop();
    expect(load.failures).toEqual([]);
    expect(await containers()).toEqual(before);
  }, 300_000);
});
