/** One run of a plugin: its process, and the relay through which it reaches the Berth. */
import { setTimeout as delay } from "node:timers/promises";
import type { PluginPlace, ProcessRequest } from "./plugin-place.ts";
import type { PluginProcess } from "./plugin-process.ts";
import type { RelayEnd, RelayListener } from "./relay.ts";

export interface RunRequest extends Omit<ProcessRequest, "listener"> {
  readonly place: PluginPlace;
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

export async function prepareRun({ place, onCall, ...request }: RunRequest): Promise<PluginRun> {
  const registered = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<RelayEnd>();
  const listener = {
    onRegistered: () => registered.resolve(),
    onCall,
    onClosed: (how: RelayEnd) => closed.resolve(how),
  };
  const { process, relay } = await place.prepare({ ...request, listener });
  return {
    start: () => process.start(),
    registered: registered.promise,
    ended: endOf(process, closed.promise),
    async [Symbol.asyncDispose]() {
      await process[Symbol.asyncDispose]();
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
