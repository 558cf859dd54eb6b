/** The Berth that a plugin in development connects to: a named one, or one of its own that ends with the command. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { type AddressInfo, createServer } from "node:net";
import { homedir } from "node:os";
import { join } from "node:path";
import type { Env } from "../../config/environment.ts";
import { type Client, createClient } from "../client.ts";
import { findNamedServer, type Server, type ServerOptions, tenantOf } from "../servers/find-server.ts";

export interface DevServer extends AsyncDisposable {
  readonly client: Client;
  readonly tenant: string;
  /** How a shell finds the key, as `$(cat FILE)`. */
  readonly keyInShell: string;
}

export interface DevServerRequest {
  readonly env: Env;
  readonly options: ServerOptions & { readonly port?: string | undefined };
  readonly folder: string;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

const TENANT = "00000000-0000-4000-8000-000000000001";
const ASK_MS_MAX = 30_000;

/**
 * The server that `--context`, `BERTH_URL` or `BERTH_CONTEXT` names. The current context is none: a plugin that is being
 * written must not reach production because of an earlier login.
 */
export async function openDevServer(request: DevServerRequest): Promise<DevServer> {
  const named = await findNamedServer(request.env, request.options);
  return named === undefined ? await startOwn(request) : useNamed(named);
}

function useNamed(server: Server): DevServer {
  const advice = `the address is that of ${server.origin}`;
  return {
    client: createClient({ ...server, timeoutMs: ASK_MS_MAX, advice }),
    tenant: tenantOf(server),
    keyInShell: "$BERTH_KEY",
    [Symbol.asyncDispose]: async () => undefined,
  };
}

/** In this process, with an embedded database, without the Docker Engine and Redis. No setting changes it. */
async function startOwn({ env, options, folder, say, signal }: DevServerRequest): Promise<DevServer> {
  const [{ startBerth }, { readConfig }, { createLog }] = await Promise.all([
    import("../../app.ts"),
    import("../../config.ts"),
    import("../../observe/log.ts"),
  ]);
  const data = stateFolder(env, folder);
  await mkdir(data, { recursive: true, mode: 0o700 });
  const debugPort = String(await findFreePort());
  const config = readConfig({
    BERTH_DATA: data,
    BERTH_PORT: options.port ?? "0",
    BERTH_DEBUG_PORT: debugPort,
  });
  const log = createLog({ level: "warn", destination: { write: (line) => say(readableLog(line)) } });
  const berth = await startBerth({ config, log, role: "dev", signal });
  const { url, adminKey: key } = berth;
  say(`serving on ${url}, data in ${data}`);
  return {
    client: createClient({ url, key, timeoutMs: ASK_MS_MAX, advice: "it has ended" }),
    tenant: options.tenant ?? TENANT,
    keyInShell: `$(cat ${berth.adminKeyFile})`,
    [Symbol.asyncDispose]: () => berth.stop({ removeContainers: false }),
  };
}

/** One for each plugin's folder, kept: what the plugin has stored is there the next time. Sockets need a short path. */
export function stateFolder(env: Env, folder: string): string {
  const state = env["XDG_STATE_HOME"] || join(env["HOME"] || homedir(), ".local/state");
  return join(state, "berth/dev", createHash("sha256").update(folder).digest("hex").slice(0, 8));
}

/** Of the loopback address. Whoever takes it before Berth does makes its start fail. */
async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A line of the log, for a person. */
export function readableLog(line: string): string {
  const { level, op, msg, err } = JSON.parse(line) as Record<string, unknown>;
  const message = msg ?? (err as { message?: string } | undefined)?.message ?? "";
  return `${level}: ${op}: ${message}`;
}
