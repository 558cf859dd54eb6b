/**
 * The first connection to a Redis: checks that it answers, that we may use it, and that it does not evict keys, and explains
 * why not. It uses INFO alone: many managed servers forbid CONFIG.
 */
import { Redis } from "ioredis";
import { Fault, isFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { reach } from "../../observe/reach.ts";
import { systemClock } from "../../util/clock.ts";
import { explainNetworkFailure, type NetworkFailure } from "../../util/network-failure.ts";
import { type RedisOptions, type RedisServer, readRedisUrl } from "./redis-url.ts";

const VERSION_MIN = [6, 2] as const;
const PROBE_MS = 5000;

export interface ReachRedisOptions {
  readonly url: string;
  /** PEM file of authorities that are trusted beside the system's. */
  readonly caBundleFile: string | undefined;
  /** How long to wait for a server that does not answer yet; 0: one attempt. */
  readonly waitMs: number;
  readonly log: Log;
  /** Ends the wait. */
  readonly signal: AbortSignal;
}

/**
 * Resolves once the server is usable. Throws `config_invalid` for an unusable URL, `queue_mismatch` for a server that is
 * too old, evicts keys or is a cluster, and `queue_unavailable`, with the reason, after `waitMs`.
 */
export async function reachRedis(options: ReachRedisOptions): Promise<RedisServer> {
  const { url, caBundleFile, waitMs, log, signal } = options;
  const server = await readRedisUrl(url, { caBundleFile });
  await reach(
    {
      server: server.name,
      code: "queue_unavailable",
      op: "queue.connect",
      waitMs,
      clock: systemClock,
      log,
      signal,
      explain: (error) => explainRedis(error, server),
    },
    async () => assertUsable(server, await readInfo(server)),
  );
  return server;
}

async function readInfo(server: RedisServer): Promise<RedisInfo> {
  const options = server.sentinel === undefined ? server.options : await askSentinels(server);
  return await withClient(options, async (client) => {
    // Where the server refuses the database, the library stays in database 0.
    await client.select(server.db);
    return parseInfo(await client.info());
  });
}

/** The first Sentinel that knows the master decides. Throws `NoMaster` with the reason of each where none does. */
async function askSentinels(server: RedisServer): Promise<RedisOptions> {
  const { master = "", addresses = [] } = server.sentinel ?? {};
  const failures: NetworkFailure[] = [];
  for (const address of addresses) {
    try {
      const found = await withClient(server.optionsOf(address, "sentinel"), (client) =>
        client.call("SENTINEL", "GET-MASTER-ADDR-BY-NAME", master),
      );
      const [host, port] = Array.isArray(found) ? found : [];
      if (typeof host === "string") return server.optionsOf({ host, port: Number(port) }, "server");
      failures.push({
        reason: `Sentinel ${address.host}:${address.port} knows no master ${master}`,
        isFinal: false,
      });
    } catch (error) {
      const { reason, isFinal } = explainRedis(error, server);
      failures.push({ reason: `Sentinel ${address.host}:${address.port}: ${reason}`, isFinal });
    }
  }
  throw new NoMaster(failures);
}

/** Carries the failure of each Sentinel. */
class NoMaster extends Error {
  readonly failures: readonly NetworkFailure[];

  constructor(failures: readonly NetworkFailure[]) {
    super("no Sentinel names the master");
    this.failures = failures;
  }
}

/** Rejects with the client's first error: the library itself only says that the connection is closed. */
async function withClient<T>(options: RedisOptions, ask: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis({
    ...options,
    lazyConnect: true,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    connectTimeout: PROBE_MS,
    commandTimeout: PROBE_MS,
    retryStrategy: () => null,
  });
  let first: Error | undefined;
  client.on("error", (error: Error) => {
    first ??= error;
  });
  try {
    await client.connect();
    return await ask(client);
  } catch (error) {
    throw first ?? error;
  } finally {
    client.disconnect();
  }
}

export type RedisInfo = ReadonlyMap<string, string>;

/** `name:value` lines. */
export function parseInfo(text: string): RedisInfo {
  const lines = text.split(/\r?\n/).filter((line) => line.includes(":") && !line.startsWith("#"));
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1)]));
}

/** Throws `queue_mismatch`, which says what to change, and `queue_unavailable` for a replica, which may become master. */
function assertUsable({ name }: Pick<RedisServer, "name">, info: RedisInfo): void {
  // Servers that are compatible with Redis show the version of Redis here, and their own elsewhere.
  const version = info.get("redis_version") ?? "unknown";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < VERSION_MIN[0] || (major === VERSION_MIN[0] && minor < VERSION_MIN[1]))
    throw new Fault(
      "queue_mismatch",
      `${name} has version ${version}; Berth needs ${VERSION_MIN.join(".")} or newer.`,
    );
  if (info.get("redis_mode") === "cluster")
    throw new Fault(
      "queue_mismatch",
      `${name} is a Redis Cluster; Berth needs a single server or Sentinels.`,
    );
  const problem = evictionProblem(info);
  if (problem !== undefined) throw new Fault("queue_mismatch", `${name} ${problem}`);
  if (info.get("role") === "slave")
    throw new Fault("queue_unavailable", `${name} cannot be used: it is a replica, which takes no writes.`);
}

/** The problem of a server that drops keys when its memory is full; undefined for one that keeps them. */
export function evictionProblem(info: RedisInfo): string | undefined {
  const policy = info.get("maxmemory_policy") ?? "noeviction";
  if (policy === "noeviction") return undefined;
  return `evicts keys when its memory is full (maxmemory-policy ${policy}), and jobs with them: set maxmemory-policy to noeviction.`;
}

/** Redis's error codes: the first word of its error messages. */
const REASONS: Readonly<Record<string, string>> = {
  WRONGPASS: "wrong user name or password",
  NOAUTH: "a password is needed and the URL has none",
  NOPERM: "the user may not do this",
  LOADING: "it is loading its data",
  MASTERDOWN: "it is a replica without its master",
  DENIED: "it accepts only local connections (protected mode)",
};

function explainRedis(error: unknown, { usesTls }: RedisServer): NetworkFailure {
  if (error instanceof NoMaster) {
    const reason = error.failures.map((one) => one.reason).join("; ");
    return { reason, isFinal: error.failures.every((one) => one.isFinal) };
  }
  if (isFault(error)) return { reason: "it is a replica, which takes no writes", isFinal: false };
  if (error instanceof Error && error.name === "ReplyError") {
    const [word = "", ...rest] = error.message.split(" ");
    const known = REASONS[word];
    return {
      reason: known === undefined ? error.message : `${known} (${word} ${rest.join(" ")})`,
      isFinal: false,
    };
  }
  const network = explainNetworkFailure(error);
  if (network?.reason.startsWith("TLS:"))
    return {
      ...network,
      reason: `${network.reason}; sslrootcert or BERTH_CA_BUNDLE names authorities to trust`,
    };
  if (network !== undefined) {
    // A server without TLS reads the handshake as a command, and waits for the rest of it.
    const hint =
      usesTls && network.reason.includes("ETIMEDOUT") ? "; it may have no TLS there (redis://)" : "";
    return { ...network, reason: `${network.reason}${hint}` };
  }
  const message = error instanceof Error ? error.message : String(error);
  return { reason: usesTls ? message : `${message}; it may want TLS (rediss://)`, isFinal: false };
}
