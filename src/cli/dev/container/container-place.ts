/** Runs the plugin of a folder in containers, one after the other, with the limits of an installed plugin. */
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { type DevContainers, openDevContainers } from "../../../app/dev-containers.ts";
import type { Env } from "../../../config/environment.ts";
import { readConfig } from "../../../config.ts";
import { invalidInput } from "../../../domain/fault.ts";
import { pickRuntimeImage } from "../../../installation/images/runtime-image.ts";
import { createLog } from "../../../observe/log.ts";
import { newRuntimeId } from "../../../runtime/launch/profile.ts";
import { replaceFile } from "../../../util/replace-file.ts";
import type { PluginFolder } from "../plugin-folder.ts";
import type { PlacedProcess, PluginEnvironment, PluginPlace, ProcessRequest } from "../plugin-place.ts";
import { openSocketRelay } from "../relay.ts";
import { ensureContainerEnvironment } from "./container-environment.ts";
import { devContainerSpec } from "./container-spec.ts";
import { openControlSocket } from "./control-socket.ts";
import { startPluginContainer } from "./plugin-container.ts";

const PROGRAMS = join(import.meta.dirname, "../../../../runtime-images/python");
const PROGRAM_FILES = ["dev_container.py", "dev_start.py"];
const REMOVE_MS_MAX = 30_000;
/** Of a folder that a user of nobody's group can read. */
const READ_BY_OTHERS = 0o005;

export interface ContainerPlaceRequest {
  readonly env: Env;
  /** Of the plugin. */
  readonly folder: string;
  /** For sockets and environments. */
  readonly dataFolder: string;
  readonly say: (line: string) => void;
  readonly onLog: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * The settings of `berth serve` about the engine, limits, the network and package indexes hold. Throws `config_invalid`,
 * `invalid_input` for a folder that the plugin's user cannot read, and what opening the engine throws. Disposing it
 * removes what it has made on the engine.
 */
export async function openContainerPlace(
  request: ContainerPlaceRequest,
): Promise<PluginPlace & AsyncDisposable> {
  const { env, folder, dataFolder, onLog, signal } = request;
  if (((await stat(folder)).mode & READ_BY_OTHERS) !== READ_BY_OTHERS)
    throw invalidInput(
      "DIR",
      folder,
      "a folder that all users may read (chmod -R o+rX), as the container's has no other right",
    );
  // Whoever reaches its sockets gets the key of the debug port.
  await mkdir(dataFolder, { recursive: true, mode: 0o700 });
  const config = readConfig({ ...env, BERTH_DATA: dataFolder });
  const log = createLog({ level: "warn", destination: { write: onLog } });
  return new ContainerPlace(request, await openDevContainers({ config, log, signal }));
}

class ContainerPlace implements PluginPlace, AsyncDisposable {
  readonly #request: ContainerPlaceRequest;
  readonly #containers: DevContainers;
  readonly #removals = new Set<Promise<void>>();
  #warned = "";

  constructor(request: ContainerPlaceRequest, containers: DevContainers) {
    this.#request = request;
    this.#containers = containers;
  }

  async ensureEnvironment(plugin: PluginFolder, signal: AbortSignal): Promise<PluginEnvironment> {
    const { engine, build } = this.#containers;
    const { folder, say } = this.#request;
    const { pluginId, entrypoint, python: version = "" } = plugin;
    const runner = { language: "python", version, entrypoint, arch: [] } as const;
    const { id: image, warnings } = await pickRuntimeImage(engine, { pluginId, runner }, build, signal);
    if (this.#warned !== warnings.join()) for (const warning of warnings) say(`warning: ${warning}`);
    this.#warned = warnings.join();
    const path = await ensureContainerEnvironment(
      { containers: this.#containers, folder, image, say },
      signal,
    );
    return { path, madeOf: image };
  }

  async prepare(request: ProcessRequest): Promise<PlacedProcess> {
    const { plugin, environment, address, key, listener, onLine } = request;
    const { engine, folders } = this.#containers;
    const runtimeId = newRuntimeId();
    const folder = await folders.prepare(runtimeId);
    for (const name of PROGRAM_FILES)
      await replaceFile(join(folder, name), await readFile(join(PROGRAMS, name)));
    const relay = await openSocketRelay(address, listener, join(folder, "relay.sock"));
    const control = await openControlSocket(join(folder, "control.sock"), key);
    const spec = devContainerSpec(
      {
        plugin,
        runtimeId,
        image: environment.madeOf,
        pluginFolder: this.#request.folder,
        environmentFolder: environment.path,
        folder,
      },
      this.#containers,
    );
    const remove = (id: string) => this.#remove(id, () => folders.remove(runtimeId));
    try {
      return { process: await startPluginContainer({ engine, spec, control, onLine, remove }), relay };
    } catch (error) {
      await control[Symbol.asyncDispose]();
      await relay[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** Never rejects: what cannot be removed now is removed at the next start. */
  #remove(id: string, removeFolder: () => Promise<void>): Promise<void> {
    const { engine } = this.#containers;
    const removal = engine
      .removeContainer(id, AbortSignal.timeout(REMOVE_MS_MAX))
      .then(removeFolder)
      .catch((error: unknown) => this.#request.say(`warning: the container ${id} is left: ${error}`))
      .finally(() => this.#removals.delete(removal));
    this.#removals.add(removal);
    return removal;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#removals);
    await this.#containers[Symbol.asyncDispose]();
  }
}
