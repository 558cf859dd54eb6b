/**
 * `berth dev DIR`: runs the plugin of a folder on this machine or in a container, through the debug port of a Berth, and
 * starts it again whenever a file changes.
 */
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Env } from "../../config/environment.ts";
import { invalidInput } from "../../domain/fault.ts";
import { abortedBy, nextSignal } from "../serve.ts";
import { createConsole, type DevConsole } from "./console.ts";
import { requestAccess } from "./debug-requests.ts";
import { DevLoop } from "./dev-loop.ts";
import { type DevServerRequest, openDevServer, readableLog, stateFolder } from "./dev-server.ts";
import { createMachinePlace } from "./machine-place.ts";
import { readPluginFolder } from "./plugin-folder.ts";
import type { PluginPlace } from "./plugin-place.ts";
import { watchFolder } from "./watch-folder.ts";

/** Editors write a file in several steps, and a checkout many files. */
const QUIET_MS = 50;

export interface DevCommand {
  readonly env: Env;
  readonly folder: string;
  readonly options: DevOptions;
}

export type DevOptions = DevServerRequest["options"] & { readonly container?: boolean };

/**
 * Resolves after SIGINT or SIGTERM, when the plugin's processes have ended and its installation is gone. Throws
 * `invalid_input` for a folder without a plugin, and what opening the server throws; whatever is wrong with the plugin
 * itself is printed, and the next change tries again.
 */
export async function dev({ env, folder: given, options }: DevCommand): Promise<void> {
  const signalled = nextSignal();
  const signal = abortedBy(signalled);
  const folder = await realpath(given).catch(() => {
    throw invalidInput("DIR", given, "the folder of a plugin");
  });
  await readPluginFolder(folder);
  const output = createConsole(process.stdout);
  await using changes = await watchFolder(folder, QUIET_MS);
  await using server = await openDevServer({ env, options, folder, say: output.say, signal });
  // A server without a debug port, or a key that may not use it, is an error of the command.
  await requestAccess(server);
  await using place = await openPlace({ env, folder, options }, output, signal);
  await using loop = new DevLoop({ folder, place, server, changes, output });
  await loop.run(signal);
  output.say("stopping");
}

async function openPlace(
  { env, folder, options }: DevCommand,
  { say }: DevConsole,
  signal: AbortSignal,
): Promise<PluginPlace & AsyncDisposable> {
  if (options.container !== true)
    return { ...createMachinePlace({ env, folder, say }), [Symbol.asyncDispose]: async () => undefined };
  const { openContainerPlace } = await import("./container/container-place.ts");
  const dataFolder = join(stateFolder(env, folder), "containers");
  const onLog = (line: string) => say(readableLog(line));
  return await openContainerPlace({ env, folder, dataFolder, say, onLog, signal });
}
