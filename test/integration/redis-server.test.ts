/** A Redis as operators have it: with TLS under a private authority, users, Sentinels, at times away. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { TaskId } from "../../src/domain/ids.ts";
import { createLog, type Log, silentLog } from "../../src/observe/log.ts";
import { openBullQueue } from "../../src/queue/bullmq/bull-queue.ts";
import { reachRedis } from "../../src/queue/bullmq/redis-server.ts";
import type { RedisServer as Reached } from "../../src/queue/bullmq/redis-url.ts";
import type { Queue } from "../../src/queue/queue.ts";
import { Scope } from "../../src/util/scope.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";
import { type Authority, makeAuthority } from "../harness/servers/authority.ts";
import { freePort } from "../harness/servers/free-port.ts";
import { makeRedisServer, type RedisServer } from "../harness/servers/redis-server.ts";
import { Relay } from "../harness/servers/relay.ts";

const PASSWORD = "p@ss:w/o?r#d%41";
const SECRET = encodeURIComponent(PASSWORD);
const never = new AbortController().signal;

const scope = new Scope();
let authority: Authority;
let server: RedisServer;

beforeAll(async () => {
  authority = scope.use(await makeAuthority());
  server = scope.use(
    await makeRedisServer({
      tls: { certificate: await authority.issue(["DNS:localhost"]), caFile: authority.caFile },
      alsoPlain: true,
      login: { username: "default", password: "other" },
      settings: [
        "requirepass other",
        `user berth on >${PASSWORD} ~bull:berth-* &berth-* +@all -config`,
        "save ''",
        "databases 4",
      ],
    }),
  );
  await server.start();
});
afterAll(() => scope.close());

function reachUrl(
  url: string,
  { log = silentLog, waitMs = 0, signal = never, caBundleFile = authority.caFile as string | undefined } = {},
): Promise<Reached> {
  return reachRedis({ url, log, waitMs, signal, caBundleFile });
}

async function openQueue(url: string, { log = silentLog, silenceMs = 10_000 } = {}): Promise<Queue> {
  return openBullQueue({
    redis: await reachUrl(url),
    instanceId: "servers1",
    connectionName: "berth-serve-0001",
    enqueueTimeoutMs: 1000,
    lockMs: 5000,
    log,
    silenceMs,
  });
}

let lastTask = 0;
function nextTask(): { taskId: TaskId; attempt: number } {
  lastTask += 1;
  return {
    taskId: TaskId.parse(`00000000-0000-4000-8000-${String(lastTask).padStart(12, "0")}`),
    attempt: 0,
  };
}

/** A worker that notes what it was given, and a subscriber that notes what it heard. */
async function follow(queue: Queue) {
  const worked = new Set<string>();
  const heard = new Set<string>();
  await queue.work({ "task.run": async ({ taskId }) => void worked.add(taskId) });
  await queue.subscribe("topic", (message) => void heard.add(message));
  return {
    /** Hands over a job and a message until both have arrived: what a sweeper and a poll do. */
    async passes(withinMs: number): Promise<void> {
      const job = nextTask();
      await vi.waitFor(
        async () => {
          await queue.enqueue("task.run", job);
          await queue.publish("topic", job.taskId);
          expect([worked.has(job.taskId), heard.has(job.taskId)]).toEqual([true, true]);
        },
        { timeout: withinMs, interval: 100 },
      );
    },
  };
}

/** What the log was told, line by line. */
function listening(): { log: Log; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line)) };
  return { log: createLog({ level: "info", destination }), lines };
}

describe("TLS, users and databases", () => {
  test("jobs and messages pass over TLS, as a user with special characters in the password, in the URL's database", async () => {
    await using queue = await openQueue(`rediss://berth:${SECRET}@localhost:${server.port}/3`);
    const { passes } = await follow(queue);
    await passes(5000);
    const clients = String(await server.ask("CLIENT", "LIST"))
      .trim()
      .split("\n");
    const ours = clients.filter((line) => line.includes("name=berth-serve-0001"));
    expect(ours).toHaveLength(4);
    expect(ours.every((line) => line.includes("user=berth") && line.includes("db=3"))).toBe(true);
  });

  test("a process that only enqueues jobs has two connections", async () => {
    await using queue = await openQueue(`unix://berth:${SECRET}@${server.socketPath}?db=1`);
    await vi.waitFor(() => queue.enqueue("task.run", nextTask()), SOON_MS);
    const clients = String(await server.ask("CLIENT", "LIST"));
    expect(clients.split("\n").filter((line) => line.includes("name=berth-serve-0001"))).toHaveLength(2);
  });

  test("only the authority of sslrootcert in the URL is trusted", async () => {
    await using other = await makeAuthority();
    const url = `rediss://berth:${SECRET}@localhost:${server.port}`;
    await reachUrl(`${url}?sslrootcert=${authority.caFile}`, { caBundleFile: undefined });
    await expect(reachUrl(`${url}?sslrootcert=${other.caFile}`)).rejects.toThrow(
      "certificate is not trusted",
    );
  });

  test.each([
    ["http://localhost", "it is not such a URL"],
    ["redis://one,two", "it names no host, or more than one"],
    ["redis://localhost/first", "its database is no number"],
    ["redis://localhost?sslrootcert=x", 'it has a parameter "sslrootcert"'],
    ["redis+sentinel://localhost", "it names no Sentinel, or no master"],
    ["unix://localhost", "it names no socket, or a host"],
    ["rediss://localhost?sslrootcert=/no/such/file", "/no/such/file cannot be read"],
  ])("%s is refused with what is accepted", async (url, message) => {
    await expect(reachUrl(url)).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(message),
    });
  });
});

describe("a failed start names the server, its address and the cause if", () => {
  let unused: number;
  beforeAll(async () => {
    unused = await freePort();
  });

  const cases: readonly [string, () => string, RegExp][] = [
    ["nothing listens", () => `redis://localhost:${unused}`, /connection refused/],
    ["the host is unknown", () => "redis://no-such-host.invalid", /unknown host/],
    [
      "the password is wrong",
      () => `redis://berth:no@localhost:${server.plainPort}`,
      /wrong user name or password/,
    ],
    ["a password is missing", () => `redis://localhost:${server.plainPort}`, /a password is needed/],
    [
      "the database is missing",
      () => `redis://berth:${SECRET}@localhost:${server.plainPort}/9`,
      /out of range/,
    ],
    [
      "the certificate is for another host",
      () => `rediss://berth:${SECRET}@127.0.0.1:${server.port}`,
      /another host name/,
    ],
    [
      "the server wants TLS",
      () => `redis://berth:${SECRET}@localhost:${server.port}`,
      /may want TLS|closed the connection/,
    ],
    [
      "the server has no TLS",
      () => `rediss://berth:${SECRET}@localhost:${server.plainPort}`,
      /it may have no TLS there/,
    ],
    ["the socket does not exist", () => "unix:///no/such/redis.sock", /there is no such socket/],
  ];
  test.each(cases)("%s", async (_name, url, why) => {
    const failure = await reachUrl(url()).then(
      () => undefined,
      (error: Error) => error,
    );
    expect(failure).toMatchObject({ code: "queue_unavailable", message: expect.stringMatching(why) });
    expect(failure?.message).toMatch(/^Redis at \S+ \(database \d\) cannot be used: /);
    expect(JSON.stringify([failure?.message, String(failure?.cause)])).not.toContain("p@ss");
  });

  test("the server is too old, with both versions", async () => {
    await using relay = new Relay({ host: "127.0.0.1", port: server.plainPort }, (chunk) =>
      Buffer.from(chunk.toString("latin1").replace(/redis_version:\d/, "redis_version:5"), "latin1"),
    );
    await relay.open();
    await expect(
      reachUrl(`redis://berth:${SECRET}@localhost:${relay.port}`, { waitMs: 60_000 }),
    ).rejects.toMatchObject({
      code: "queue_mismatch",
      message: expect.stringMatching(/has version 5\.[\d.]+; Berth needs 6\.2 or newer/),
    });
  });

  test("the server evicts keys, with the setting to change, and a later change is logged as a warning", async () => {
    const url = `redis://berth:${SECRET}@localhost:${server.plainPort}`;
    const { log, lines } = listening();
    await using queue = await openQueue(url, { log });
    await vi.waitFor(() => queue.ping(), SOON_MS);
    await server.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru");
    try {
      await expect(reachUrl(url, { waitMs: 60_000 })).rejects.toMatchObject({
        code: "queue_mismatch",
        message: expect.stringContaining(
          "maxmemory-policy allkeys-lru), and jobs with them: set maxmemory-policy to noeviction",
        ),
      });
      expect(lines).toEqual([]);
      await server.ask("CLIENT", "KILL", "USER", "berth");
      await vi.waitFor(
        () => expect(lines.map(({ msg }) => msg)).toContainEqual(expect.stringContaining("evicts keys")),
        5000,
      );
    } finally {
      await server.ask("CONFIG", "SET", "maxmemory-policy", "noeviction");
    }
  });
});

describe("a server that is away", () => {
  test("is waited for at the start, and each reason is logged once", async () => {
    await using late = await makeRedisServer({ settings: ["save ''"] });
    const { log, lines } = listening();
    const reached = reachUrl(`redis://localhost:${late.port}`, { log, waitMs: 60_000 });
    await vi.waitFor(() => expect(lines).toHaveLength(1), SOON_MS);
    expect(lines[0]).toMatchObject({
      op: "queue.connect",
      level: "warn",
      msg: expect.stringContaining("ECONNREFUSED"),
    });
    await late.start();
    await reached;
    expect(lines.slice(1)).toMatchObject([{ op: "queue.connect", ok: true }]);
    await late.signal("SIGTERM");
    await expect(reachUrl(`redis://localhost:${late.port}`, { waitMs: 300 })).rejects.toThrow(
      "Gave up after 0.3 s",
    );
  });

  test("is reached again automatically after the network cuts every connection or silently drops it", async () => {
    await using relay = new Relay({ host: "127.0.0.1", port: server.plainPort });
    await relay.open();
    await using queue = await openQueue(`redis://berth:${SECRET}@localhost:${relay.port}`, {
      silenceMs: 1000,
    });
    const { passes } = await follow(queue);
    await passes(5000);
    await relay.cut();
    await expect(queue.ping()).rejects.toMatchObject({ code: "queue_unavailable" });
    await relay.open();
    await passes(5000);
    relay.silence();
    await passes(8000);
  });
});

describe("Sentinels", () => {
  test("find the server, and the queue follows a failover", async () => {
    const certificate = await authority.issue(["IP:127.0.0.1", "DNS:localhost"]);
    const tls = { certificate, caFile: authority.caFile };
    const data = [
      "save ''",
      `requirepass ${PASSWORD}`,
      `masterauth ${PASSWORD}`,
      "repl-diskless-sync-delay 0",
    ];
    const login = { password: PASSWORD };
    await using first = await makeRedisServer({ tls, login, settings: data });
    await first.start();
    await using second = await makeRedisServer({
      tls,
      login,
      settings: [...data, `replicaof 127.0.0.1 ${first.port}`],
    });
    await second.start();
    await using sentinel = await makeRedisServer({
      tls,
      kind: "sentinel",
      login: { password: "watch me" },
      settings: [
        'requirepass "watch me"',
        `sentinel monitor harbour 127.0.0.1 ${first.port} 1`,
        `sentinel auth-pass harbour ${PASSWORD}`,
        "sentinel down-after-milliseconds harbour 500",
        "sentinel failover-timeout harbour 3000",
      ],
    });
    const addresses = `127.0.0.1:${await freePort()},127.0.0.1:${sentinel.port}`;
    const url = `rediss+sentinel://:${SECRET}@${addresses}/harbour/2`;
    await expect(reachUrl(`${url}?sentinel_password=watch%20me`)).rejects.toThrow(
      /^Redis harbour \(database 2\) by the Sentinels at .* cannot be used: .*Sentinel 127\.0\.0\.1:\d+: connection refused/,
    );
    await sentinel.start();
    await expect(reachUrl(url)).rejects.toThrow(/a password is needed/);
    await expect(reachUrl(`${url.replace("harbour", "haven")}?sentinel_password=watch%20me`)).rejects.toThrow(
      "knows no master haven",
    );

    await using queue = await openQueue(`${url}?sentinel_password=watch%20me`, { silenceMs: 1000 });
    const { passes } = await follow(queue);
    await passes(5000);
    await vi.waitFor(
      async () => expect(String(await first.ask("INFO", "replication"))).toContain("state=online"),
      10_000,
    );
    await vi.waitFor(
      async () => expect(String(await sentinel.ask("SENTINEL", "REPLICAS", "harbour"))).toContain("slave"),
      15_000,
    );
    await first.signal("SIGKILL");
    await passes(20_000);
    expect(String(await second.ask("ROLE"))).toContain("master");
  });
});
