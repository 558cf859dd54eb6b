import type { PluginFolder } from "./plugin-folder.ts";
import type { PluginProcess } from "./plugin-process.ts";
import type { DebugAddress, Relay, RelayListener } from "./relay.ts";

/** What a plugin's requirements were made into. */
export interface PluginEnvironment {
  readonly path: string;
  /** Another one where what it is made of has changed. */
  readonly madeOf: string;
}

export interface ProcessRequest {
  readonly plugin: PluginFolder;
  readonly environment: PluginEnvironment;
  /** Of the debug port, and the tenant's key for it. */
  readonly address: DebugAddress;
  readonly key: string;
  readonly listener: RelayListener;
  readonly onLine: (line: string) => void;
}

/** A process that waits for its start, and the relay through which it reaches the Berth. */
export interface PlacedProcess {
  readonly process: PluginProcess;
  readonly relay: Relay;
}

/** Where the plugin of a folder runs: on this machine, or in containers. */
export interface PluginPlace {
  /** Makes the environment unless it is there. Throws `dependency_unresolvable` and the like. */
  ensureEnvironment(plugin: PluginFolder, signal: AbortSignal): Promise<PluginEnvironment>;
  /** The caller disposes both. */
  prepare(request: ProcessRequest): Promise<PlacedProcess>;
}
