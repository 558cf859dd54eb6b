/** Berth on a PostgreSQL and a Redis of its operator: TLS under a private authority, passwords, servers that come and go. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { appendFile, copyFile, readFile, symlink } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  accept,
  askTool,
  eventually,
  follow,
  getInstallation,
  install,
  type PackedPlugin,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import { BERTH_MAIN, type BerthProcess, inherited } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length } from "../harness/samples/lengths.ts";
import { type Authority, makeAuthority } from "../harness/servers/authority.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { makePostgresServer, type PostgresServer } from "../harness/servers/postgres-server.ts";
import { makeRedisServer, type RedisServer } from "../harness/servers/redis-server.ts";

const PASSWORD = "p@ss:w/o?r#d%41";
const SECRET = encodeURIComponent(PASSWORD);
const POOL = 3;

const scope = new Scope();
let authority: Authority;
let postgres: PostgresServer;
let redis: RedisServer;
let site: Site;
/** Where Berth looks for the engine: there is nothing there at first. */
let engineSocket: string;
let berth: BerthProcess;
let echo: PackedPlugin;
let running: AcceptedInstall;

beforeAll(async () => {
  authority = scope.use(await makeAuthority());
  const certificate = await authority.issue(["DNS:localhost"]);
  postgres = scope.use(await makePostgresServer({ certificate }));
  redis = scope.use(
    await makeRedisServer({
      tls: { certificate, caFile: authority.caFile },
      login: { username: "berth", password: PASSWORD },
      settings: [
        "user default off",
        `user berth on >${PASSWORD} ~bull:berth-* &berth-* +@all -config`,
        "appendonly yes",
        "save ''",
      ],
    }),
  );
  engineSocket = join(scope.use(await makeFolder("engine")).path, "docker.sock");
  site = scope.use(
    await openSite({
      env: {
        DATABASE_URL: `postgresql://berth:${SECRET}@localhost:${postgres.port}/berth?sslmode=verify-full`,
        REDIS_URL: `rediss://berth:${SECRET}@localhost:${redis.port}/1`,
        BERTH_CA_BUNDLE: await bundleWith(authority.caFile),
        BERTH_DATABASE_POOL: String(POOL),
        BERTH_ENGINE_SOCKET: engineSocket,
      },
    }),
  );
  echo = await packPlugin("echo");
});
afterAll(() => scope.close());

/** The authorities that builds need on this machine, and one more. */
async function bundleWith(caFile: string): Promise<string> {
  const file = join(scope.use(await makeFolder("bundle")).path, "bundle.pem");
  await copyFile(caFile, file);
  const ofMachine = process.env["SSL_CERT_FILE"];
  if (ofMachine !== undefined) await appendFile(file, await readFile(ofMachine, "utf8"));
  return file;
}

/** Resolves when somebody has tried to connect to the port; then it is free again. */
async function knockAt(port: number): Promise<void> {
  const server = createServer().listen(port, "127.0.0.1");
  const [socket] = await once(server, "connection");
  socket.destroy();
  server.close();
  await once(server, "close");
}

const ask = () =>
  toolTexts(berth, {
    tenant: running.tenant,
    pluginId: echo.pluginId,
    tool: "echo",
    parameters: { text: "aye" },
  });

/** Backends that serve Berth, and its connections to Redis. */
async function connections(): Promise<{ postgres: number; redis: number }> {
  const [row] = await postgres.query(
    "SELECT count(*)::int AS n FROM pg_stat_activity WHERE application_name LIKE 'berth-serve-%'",
  );
  const clients = String(await redis.ask("CLIENT", "LIST")).split("\n");
  return {
    postgres: Number(row?.["n"]),
    redis: clients.filter((line) => line.includes("name=berth-serve-")).length,
  };
}

test("a start that tries only once fails with the server, its address and the cause, and shows no password", async () => {
  const { code, errors, output } = await site.run(["serve"], { BERTH_START_WAIT_SECONDS: "0" });
  expect(code).toBe(1);
  expect(errors).toMatch(
    new RegExp(
      `PostgreSQL at localhost:${postgres.port} \\(database berth, user berth\\) cannot be used: connection refused` +
        `|Redis at localhost:${redis.port} \\(database 1\\) cannot be used: connection refused` +
        `|The Docker Engine at ${engineSocket} cannot be used: there is no such socket`,
    ),
  );
  expect(`${errors}${output}`).not.toContain("p@ss");
  expect(`${errors}${output}`).not.toContain(SECRET);
});

test("a start that is still waiting exits with code 0 on SIGTERM", async () => {
  const child = spawn(process.execPath, [BERTH_MAIN, "serve"], {
    env: { ...inherited(), BERTH_PORT: "0", ...site.env },
    stdio: "ignore",
  });
  const ended = once(child, "exit");
  await knockAt(postgres.port);
  child.kill("SIGTERM");
  expect(await ended).toEqual([0, null]);
});

test("a start waits for servers and an engine that come later, logs each cause once, and serves", async () => {
  const starting = site.start();
  await Promise.all([knockAt(postgres.port), knockAt(redis.port)]);
  await redis.start();
  await postgres.start();
  await symlink(process.env["BERTH_TEST_ENGINE_SOCKET"] ?? "/var/run/docker.sock", engineSocket);
  await postgres.query(`CREATE ROLE berth LOGIN PASSWORD '${PASSWORD}'`);
  await postgres.query("CREATE DATABASE berth OWNER berth");
  berth = await starting;
  for (const [op, name] of [
    ["store.connect", "PostgreSQL"],
    ["queue.connect", "Redis"],
    ["engine.connect", "The Docker Engine"],
  ]) {
    const said = berth.log.filter((line) => line["op"] === op).map(({ msg }) => String(msg));
    expect(said.at(-1)).toMatch(new RegExp(`^${name} at .* answers$`));
    expect(new Set(said).size).toBe(said.length);
  }
  expect(JSON.stringify(berth.log)).not.toContain("p@ss");
  running = await install(berth, echo);
  expect(await ask()).toEqual(["aye"]);
});

test("1,000 simultaneous calls and 300 API requests stay within the database pool and four connections to Redis", async () => {
  const most = { postgres: 0, redis: 0 };
  let isOver = false;
  const watching = (async () => {
    while (!isOver) {
      const now = await connections();
      most.postgres = Math.max(most.postgres, now.postgres);
      most.redis = Math.max(most.redis, now.redis);
    }
  })();
  const path = `/v1/tenants/${running.tenant}/installations`;
  const calls = Array.from({ length: 1000 }, ask);
  const requests = Array.from({ length: 300 }, async () => (await berth.request("GET", path)).status);
  const [answers, statuses] = await Promise.all([Promise.all(calls), Promise.all(requests)]);
  isOver = true;
  await watching;
  expect(answers).toEqual(Array(1000).fill(["aye"]));
  expect(statuses).toEqual(Array(300).fill(200));
  expect(most.postgres).toBeGreaterThan(0);
  expect(most.postgres).toBeLessThanOrEqual(POOL);
  expect(most.redis).toBe(4);
});

test("servers that crash and come back fail no call, and accepted installs continue", async () => {
  let isOver = false;
  const outcomes = { ok: 0, failed: [] as string[] };
  const callers = Array.from({ length: 8 }, async () => {
    while (!isOver) {
      await ask().then(
        () => {
          outcomes.ok += 1;
        },
        (error: Error) => outcomes.failed.push(error.message),
      );
    }
  });
  try {
    for (let round = 0; round < length({ short: 1, soak: 10 }); round += 1) {
      const accepted = await accept(berth, echo);
      await postgres.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'berth-%'",
      );
      await postgres.signal("SIGQUIT");
      await redis.signal("SIGKILL");
      const before = outcomes.ok;
      await eventually(async () => (outcomes.ok > before + 50 ? true : undefined));
      expect(await berth.json(503, "GET", "/health/ready")).toMatchObject({
        parts: {
          database: { ok: false, code: "store_unavailable" },
          queue: { ok: false, code: "queue_unavailable" },
        },
      });
      await Promise.all([postgres.start(), redis.start()]);
      await eventually(async () => ((await berth.request("GET", "/health/ready")).ok ? true : undefined));
      expect((await follow(berth, accepted)).at(-1)).toMatchObject({ state: "ready" });
    }
  } finally {
    isOver = true;
    await Promise.all(callers);
  }
  expect(outcomes.failed).toEqual([]);
  expect(await getInstallation(berth, running)).toMatchObject({ state: "ready" });
  const { postgres: backends, redis: clients } = await connections();
  expect(backends).toBeLessThanOrEqual(POOL);
  expect(clients).toBe(4);
  expect(
    (await askTool(berth, { tenant: running.tenant, pluginId: echo.pluginId, tool: "echo" })).status,
  ).toBe(200);
});
