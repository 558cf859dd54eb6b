/** One run of a plugin: its process, and the relay through which it reaches the Berth. */
import { setTimeout as delay } from "node:timers/promises";
import { type PluginProcess, preparePlugin } from "./plugin-process.ts";
import { type DebugAddress, openRelay, type Relay, type RelayEnd, type RelayListener } from "./relay.ts";

export interface RunRequest {
  readonly python: string;
  readonly folder: string;
  readonly entrypoint: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the debug port, and the tenant's key for it. */
  readonly address: DebugAddress;
  readonly key: string;
  readonly onLine: (line: string) => void;
  readonly onCall: RelayListener["onCall"];
}

/** How a run ended by itself. */
export type RunEnd =
  | { readonly is: "exited"; readonly how: string }
  | { readonly is: "refused"; readonly why: string }
  | { readonly is: "unreachable"; readonly why: string }
  | { readonly is: "lost" };

/** A prepared run costs memory and no time; disposing it ends the process with all that it started. */
export interface PluginRun extends AsyncDisposable {
  start(): void;
  /** Resolves when the plugin has declared what it offers. */
  readonly registered: Promise<void>;
  readonly ended: Promise<RunEnd>;
}

/** A process that exits closes its connection a moment before. */
const EXIT_MS = 500;

export async function prepareRun(request: RunRequest): Promise<PluginRun> {
  const { python, folder, entrypoint, onLine, onCall } = request;
  const registered = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<RelayEnd>();
  const relay = await openRelay(request.address, {
    onRegistered: () => registered.resolve(),
    onCall,
    onClosed: (how) => closed.resolve(how),
  });
  const env = pluginEnv(request, relay);
  const plugin = preparePlugin({ python, folder, entrypoint, env, onLine });
  return {
    start: () => plugin.start(),
    registered: registered.promise,
    ended: endOf(plugin, closed.promise),
    async [Symbol.asyncDispose]() {
      await plugin[Symbol.asyncDispose]();
      await relay[Symbol.asyncDispose]();
    },
  };
}

async function endOf(plugin: PluginProcess, closed: Promise<RelayEnd>): Promise<RunEnd> {
  const exited = plugin.ended.then((how): RunEnd => ({ is: "exited", how }));
  const disconnected = closed.then(async ({ refusal, failure }): Promise<RunEnd> => {
    if (failure !== undefined) return { is: "unreachable", why: failure };
    if (refusal !== undefined) return { is: "refused", why: refusal };
    return await Promise.race([exited, delay(EXIT_MS, { is: "lost" } as const, { ref: false })]);
  });
  return await Promise.race([exited, disconnected]);
}

/** As its author would set it by hand; the second form of the address is for SDKs before 0.2.3. */
function pluginEnv({ env, key }: RunRequest, { port }: Relay): Record<string, string | undefined> {
  return {
    ...env,
    INSTALL_METHOD: "remote",
    REMOTE_INSTALL_URL: `127.0.0.1:${port}`,
    REMOTE_INSTALL_HOST: "127.0.0.1",
    REMOTE_INSTALL_PORT: String(port),
    REMOTE_INSTALL_KEY: key,
  };
}
