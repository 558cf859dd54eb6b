/** A PostgreSQL as operators have it: on TCP, with TLS under a private authority, with passwords, at times away. */
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from "vitest";
import { createLog, type Log, silentLog } from "../../src/observe/log.ts";
import type { ConnectionOptions } from "../../src/store/prisma/client/connection.ts";
import { openStore } from "../../src/store/prisma/open.ts";
import { Scope } from "../../src/util/scope.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";
import { type Authority, makeAuthority } from "../harness/servers/authority.ts";
import { freePort } from "../harness/servers/free-port.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { makePostgresServer, type PostgresServer } from "../harness/servers/postgres-server.ts";
import { Relay } from "../harness/servers/relay.ts";

const PASSWORD = "p@ss:w/o?r#d %41'é";
const POOL = 4;

const scope = new Scope();
let authority: Authority;
let server: PostgresServer;
let dataFolder: string;

beforeAll(async () => {
  authority = scope.use(await makeAuthority());
  dataFolder = scope.use(await makeFolder("servers")).path;
  server = scope.use(await makePostgresServer({ certificate: await authority.issue(["DNS:localhost"]) }));
  await server.start();
  for (const role of ["berth", "plain"]) {
    await server.query(`CREATE ROLE ${role} LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
    await server.query(`CREATE DATABASE ${role} OWNER ${role}`);
  }
});
afterAll(() => scope.close());

interface Where {
  user?: string;
  password?: string;
  host?: string;
  port?: number;
  database?: string;
  params?: Readonly<Record<string, string>>;
}

function urlOf({
  user = "berth",
  password = PASSWORD,
  host = "localhost",
  port,
  database = "berth",
  params,
}: Where) {
  const query = new URLSearchParams({ sslmode: "verify-full", sslrootcert: authority.caFile, ...params });
  return `postgresql://${user}:${encodeURIComponent(password)}@${host}:${port ?? server.port}/${database}?${query}`;
}

function open(where: Where = {}, options: Partial<ConnectionOptions> = {}) {
  return openUrl(urlOf(where), options);
}

function openUrl(databaseUrl: string, options: Partial<ConnectionOptions> = {}) {
  return openStore({
    databaseUrl,
    dataFolder,
    log: silentLog,
    poolMax: POOL,
    statementTimeoutMs: 2000,
    applicationName: "berth-api-0001",
    ...options,
  });
}

/** Connections of Berth to the server. */
async function connections(): Promise<readonly Readonly<Record<string, unknown>>[]> {
  return await server.query(
    `SELECT pid, ssl, application_name FROM pg_stat_activity LEFT JOIN pg_stat_ssl USING (pid)
     WHERE application_name LIKE 'berth-%'`,
  );
}

/** Looks all the time how many there are. */
function countConnections(): AsyncDisposable & { most(): number } {
  let most = 0;
  let isOver = false;
  const counting = (async () => {
    while (!isOver) most = Math.max(most, (await connections()).length);
  })();
  return {
    most: () => most,
    [Symbol.asyncDispose]: () => {
      isOver = true;
      return counting;
    },
  };
}

/** What the log was told, line by line. */
function heard(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log = createLog({
    level: "info",
    destination: { write: (line: string) => void lines.push(JSON.parse(line)) },
  });
  return { log, lines };
}

describe("TLS and passwords", () => {
  test("a password with special characters is sent over TLS to a server of the URL's own authority", async () => {
    await using store = await open();
    await store.ping();
    const [connection] = await connections();
    expect(connection).toMatchObject({ ssl: true, application_name: "berth-api-0001" });
  });

  test("without sslrootcert the authorities of BERTH_CA_BUNDLE are trusted", async () => {
    const url = new URL(urlOf({}));
    url.searchParams.delete("sslrootcert");
    await using store = await openUrl(url.href, { caBundleFile: authority.caFile });
    await store.ping();
    await expect(openUrl(url.href)).rejects.toMatchObject({
      code: "store_unavailable",
      message: expect.stringContaining("certificate is not trusted"),
    });
  });

  test("verify-ca checks the authority but not the host name, and no-verify checks neither", async () => {
    await expect(open({ host: "127.0.0.1" })).rejects.toMatchObject({
      message: expect.stringContaining("certificate is for another host name"),
    });
    await expect(open({ host: "127.0.0.1", params: { sslmode: "require" } })).rejects.toThrow(
      "another host name",
    );
    await using byAuthority = await open({ host: "127.0.0.1", params: { sslmode: "verify-ca" } });
    await byAuthority.ping();
    await using other = await makeAuthority();
    await expect(
      open({ host: "127.0.0.1", params: { sslmode: "verify-ca", sslrootcert: other.caFile } }),
    ).rejects.toThrow("certificate is not trusted");
    await using unchecked = await open({
      host: "127.0.0.1",
      params: { sslmode: "no-verify", sslrootcert: other.caFile },
    });
    await unchecked.ping();
    expect((await connections()).every(({ ssl }) => ssl === true)).toBe(true);
  });

  test.each([
    [{ sslmode: "prefer" }, "sslmode=prefer; accepted: disable, require, verify-ca, verify-full, no-verify"],
    [{ sslmode: "on" }, "sslmode=on; accepted: disable, require"],
    [{ sslrootcert: "/no/such/file.pem" }, "/no/such/file.pem cannot be read"],
    [
      { pool_timeout: "3" },
      'it has a parameter "pool_timeout"; accepted: postgresql://user:password@host:port/database',
    ],
  ])("%j in the URL is refused with what is accepted", async (params, message) => {
    await expect(open({ params })).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(message),
    });
  });
});

describe("a failed start names the server, its address and the cause if", () => {
  const cases: readonly [string, () => Where, string][] = [
    ["nothing listens", () => ({ port: unused }), "connection refused"],
    ["the host is unknown", () => ({ host: "no-such-host.invalid" }), "unknown host"],
    ["the password is wrong", () => ({ password: "nonsense" }), "wrong password, or no such role"],
    ["the database is missing", () => ({ database: "nowhere" }), "there is no such database"],
    [
      "the server wants TLS",
      () => ({ params: { sslmode: "disable", sslrootcert: "" } }),
      "the server refuses this role",
    ],
  ];
  let unused: number;
  beforeAll(async () => {
    unused = await freePort();
  });

  test.each(cases)("%s", async (_name, where, why) => {
    const { host = "localhost", port = server.port, database = "berth" } = where();
    const failure = await open(where()).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(failure).toMatchObject({ code: "store_unavailable" });
    expect(failure?.message).toContain(
      `PostgreSQL at ${host}:${port} (database ${database}, user berth) cannot be used: ${why}`,
    );
    expect(JSON.stringify([failure?.message, String(failure?.cause)])).not.toContain("p@ss");
  });

  test("the server accepts connections but never answers", async () => {
    await using relay = new Relay({ host: "127.0.0.1", port: server.port }, () => Buffer.alloc(0));
    await relay.open();
    await expect(open({ port: relay.port }, { statementTimeoutMs: 300 })).rejects.toThrow("timed out");
  });

  test("the server is too old, with both versions", async () => {
    await using relay = new Relay({ host: "127.0.0.1", port: server.port }, (chunk) =>
      Buffer.from(chunk.toString("latin1").replace(/1[4-9](00\d\d)/, "13$1"), "latin1"),
    );
    await relay.open();
    const [row] = await server.query("SHOW server_version_num");
    const minor = Number(row?.["server_version_num"]) % 10_000;
    const where = { user: "plain", database: "plain", port: relay.port };
    const url = urlOf(where).split("?")[0] ?? "";
    await expect(openUrl(url, { startWaitMs: 60_000 })).rejects.toMatchObject({
      code: "store_mismatch",
      message: expect.stringMatching(new RegExp(`has version 13\\.${minor}; Berth needs 14 or newer`)),
    });
  });

  test("the role may not create tables", async () => {
    await server.query("CREATE DATABASE theirs");
    await server.query("REVOKE CREATE ON SCHEMA public FROM PUBLIC", "theirs");
    await expect(open({ database: "theirs" }, { startWaitMs: 60_000 })).rejects.toMatchObject({
      code: "store_mismatch",
      message: expect.stringContaining("GRANT CREATE ON SCHEMA public TO berth"),
    });
  });
});

describe("a start that waits", () => {
  test("opens when server, role and database appear later, and logs each reason once", async () => {
    await using late = await makePostgresServer({ certificate: await authority.issue(["DNS:localhost"]) });
    const { log, lines } = heard();
    const opening = open({ port: late.port, user: "later", database: "later" }, { log, startWaitMs: 60_000 });
    const logged = (reason: string) => lines.filter((line) => String(line["msg"]).includes(reason));
    await vi.waitFor(() => expect(logged("connection refused")).toHaveLength(1), SOON_MS);
    await late.start();
    await vi.waitFor(() => expect(logged("no such role")).toHaveLength(1), SOON_MS);
    await late.query(`CREATE ROLE later LOGIN PASSWORD '${PASSWORD.replaceAll("'", "''")}'`);
    await vi.waitFor(() => expect(logged("no such database")).toHaveLength(1), SOON_MS);
    await late.query("CREATE DATABASE later OWNER later");
    await using store = await opening;
    await store.ping();
    expect(logged("connection refused")).toHaveLength(1);
    expect(logged("answers")).toMatchObject([{ op: "store.connect", ok: true }]);
  });

  test("gives up with the last reason when its time is over, and at once if waiting cannot help", async () => {
    const port = await freePort();
    await expect(open({ port }, { startWaitMs: 500 })).rejects.toThrow(
      /connection refused \(ECONNREFUSED\)\. Gave up after 0\.5 s/,
    );
    const { log, lines } = heard();
    await expect(open({ host: "127.0.0.1" }, { log, startWaitMs: 60_000 })).rejects.toThrow(
      "another host name",
    );
    expect(lines).toEqual([]);
  });

  test("ends at once when it is aborted", async () => {
    const stop = new AbortController();
    const { log, lines } = heard();
    const opening = open({ port: await freePort() }, { log, startWaitMs: 60_000, signal: stop.signal });
    await vi.waitFor(() => expect(lines).toHaveLength(1), SOON_MS);
    stop.abort(new Error("told to stop"));
    await expect(opening).rejects.toThrow("told to stop");
  });
});

describe("the pool", () => {
  beforeEach(async () => {
    await vi.waitFor(async () => expect(await connections()).toEqual([]), SOON_MS);
  });

  test("limits all connections of a process to its size, migrations included", async () => {
    await server.query("CREATE DATABASE bound OWNER berth");
    await using count = countConnections();
    await using store = await open({ database: "bound" }, { statementTimeoutMs: 30_000 });
    await Promise.all(Array.from({ length: 1000 }, () => store.images.list()));
    expect(count.most()).toBeLessThanOrEqual(POOL);
    expect(count.most()).toBeGreaterThan(1);
  });

  test("refuses callers that wait too long for a connection, and names that reason", async () => {
    await using store = await open({}, { statementTimeoutMs: 3000, acquireTimeoutMs: 1000 });
    const lock = server.query("BEGIN; LOCK TABLE berth_images; SELECT pg_sleep(4); COMMIT", "berth");
    await vi.waitFor(async () => {
      const [row] = await server.query(
        "SELECT count(*)::int AS n FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND granted AND relation = 'berth_images'::regclass",
        "berth",
      );
      expect(row).toEqual({ n: 1 });
    });
    const asked = await Promise.allSettled(Array.from({ length: POOL + 3 }, () => store.images.list()));
    await lock;
    const refusals = asked.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect(refusals).toHaveLength(POOL + 3);
    expect(refusals.every(({ code }) => code === "store_unavailable")).toBe(true);
    const busy = refusals.filter(({ message }) => /^All connections .* in use .* within 1 s/.test(message));
    expect(busy).toHaveLength(3);
    await store.ping();
  });

  test("gives up and replaces a silent connection in a bounded time", async () => {
    await using relay = new Relay({ host: "127.0.0.1", port: server.port });
    await relay.open();
    await using store = await open({ port: relay.port }, { statementTimeoutMs: 500 });
    await store.ping();
    relay.silence();
    const began = Date.now();
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
    expect(Date.now() - began).toBeLessThan(SOON_MS);
    await store.ping();
  });

  test("recovers automatically after its backends were ended and after the server crashed", async () => {
    const { log, lines } = heard();
    await using store = await open({}, { log });
    await Promise.all(Array.from({ length: 20 }, () => store.ping()));
    await server.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'berth-%'",
    );
    // One that is about to be told of its end may still be handed out.
    await vi.waitFor(() => store.ping(), SOON_MS);
    await Promise.all(Array.from({ length: 20 }, () => store.ping()));
    await server.signal("SIGQUIT");
    await expect(store.ping()).rejects.toMatchObject({ code: "store_unavailable" });
    await server.start();
    await Promise.all(Array.from({ length: 20 }, () => store.ping()));
    expect((await connections()).length).toBeLessThanOrEqual(POOL);
    expect(lines.filter(({ op }) => op === "store.connection").length).toBeLessThanOrEqual(2);
  });
});
