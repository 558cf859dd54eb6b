/** Lets a call to a plugin of an earlier daemon wait, within its own deadline, for the image that is being built. */
import { Fault } from "../domain/fault.ts";
import type { InvocationRequest } from "../domain/invocation.ts";
import type { Clock } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { waitFor } from "../util/wait.ts";
import type { BuildPriority } from "./build-priority.ts";
import type { InstallationDirectory, InstalledPlugin } from "./installation-directory.ts";

export interface BuildWaitsDeps {
  readonly installations: Pick<InstallationDirectory, "find" | "onChange">;
  readonly buildPriority: BuildPriority;
  readonly clock: Clock;
  /** Calls that may wait for one installation; further ones are refused at once with its place in the queue. */
  readonly waitersMax: number;
}

/** Bounds the waits per installation; each wait also puts its installation first in the queue of builds. */
export class BuildWaits {
  readonly #deps: BuildWaitsDeps;
  readonly #waiters = new Map<string, number>();

  constructor(deps: BuildWaitsDeps) {
    this.#deps = deps;
  }

  /**
   * Resolves with the plugin as soon as it is no longer `installing` (undefined: it was removed), and at once where it
   * was not taken over from a daemon. Throws `plugin_not_ready` with `state: "building"`, place and number after
   * `timeoutMs`, and the signal's reason.
   */
  async wait(
    plugin: InstalledPlugin,
    { tenantId, pluginId }: Pick<InvocationRequest, "tenantId" | "pluginId">,
    { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
  ): Promise<InstalledPlugin | undefined> {
    const { id } = plugin.installation;
    const place = await this.#raise(plugin);
    if (place === undefined) return plugin;
    const waiting = this.#waiters.get(id) ?? 0;
    if (waiting >= this.#deps.waitersMax) throw building(plugin, place);
    this.#waiters.set(id, waiting + 1);
    using deadline = new Deadline({ clock: this.#deps.clock, ms: timeoutMs }, signal);
    try {
      const find = () => this.#deps.installations.find(tenantId, pluginId);
      const look = () => {
        const found = find();
        return found?.installation.id !== id || found.installation.state !== "installing" || undefined;
      };
      const subscribe = (listener: () => void) => this.#deps.installations.onChange(listener);
      await waitFor({ look, subscribe }, deadline.signal);
      return find();
    } catch (error) {
      if (!deadline.isOver) throw error;
    } finally {
      const left = (this.#waiters.get(id) ?? 1) - 1;
      if (left > 0) this.#waiters.set(id, left);
      else this.#waiters.delete(id);
    }
    throw building(plugin, (await this.#raise(plugin)) ?? place);
  }

  /** Without the store nobody knows the place: the plugin then counts as any other that is being installed. */
  async #raise({ installation: { id, state } }: InstalledPlugin) {
    if (state !== "installing") return undefined;
    return await this.#deps.buildPriority.raise(id).catch(() => undefined);
  }
}

function building(
  { installation: { pluginId } }: InstalledPlugin,
  { place, of }: { place: number; of: number },
): Fault {
  return new Fault("plugin_not_ready", `${pluginId} is being built: place ${place} of ${of} in the queue.`, {
    details: { state: "building", place, of },
  });
}
