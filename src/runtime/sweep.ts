/**
 * Removes what carries our instance's label and belongs to no live row: Containers, and host folders. Only what has
 * stood like that for the whole grace is touched, and nothing at all unless the Store has answered in this very pass.
 */

import type { ContainerState } from "../domain/container.ts";
import { toFault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";
import { parseLabels } from "../engine/labels.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import type { RuntimeFolders } from "./folder.ts";

export interface SweepDeps {
  readonly store: Pick<Store, "runtimes">;
  readonly engine: Pick<Engine, "removeContainer">;
  readonly folders: RuntimeFolders;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: { readonly orphanGraceMs: number; readonly sweepDryRun: boolean };
}

export class Sweeper {
  readonly #deps: SweepDeps;
  /** When a thing was first seen without a row. */
  readonly #since = new Map<string, number>();

  constructor(deps: SweepDeps) {
    this.#deps = deps;
  }

  /** Throws `store_unavailable` before anything is removed. Answers the names of the orphans, removed or, in a dry run, only found. */
  async sweep(containers: readonly ContainerState[], signal: AbortSignal): Promise<readonly string[]> {
    const { store, folders } = this.#deps;
    const onDisk = await folders.list();
    // The rows are read last: what was made between the listings has its row by now.
    const live = new Set<string>((await store.runtimes.listLive()).map(({ id }) => id));
    const ours = containers.filter(({ labels }) => parseLabels(labels)?.kind === "runtime");
    const isOrphan = ({ labels }: ContainerState) => !live.has(parseLabels(labels)?.runtime ?? "");
    const orphans = new Map([
      ...ours.filter(isOrphan).map((container) => [container.id, container.name] as const),
      ...onDisk.filter((id) => !live.has(id)).map((id) => [id, id] as const),
    ]);
    const due = this.#due(orphans);
    for (const [key, name] of due) {
      signal.throwIfAborted();
      await this.#remove(key, { name, isFolder: onDisk.some((id) => id === key), signal });
    }
    return due.map(([, name]) => name);
  }

  #due(orphans: ReadonlyMap<string, string>): readonly (readonly [string, string])[] {
    const now = this.#deps.clock.now();
    for (const key of this.#since.keys()) if (!orphans.has(key)) this.#since.delete(key);
    for (const key of orphans.keys()) if (!this.#since.has(key)) this.#since.set(key, now);
    const { orphanGraceMs } = this.#deps.settings;
    return [...orphans].filter(([key]) => now - (this.#since.get(key) ?? now) >= orphanGraceMs);
  }

  async #remove(
    key: string,
    { name, isFolder, signal }: { name: string; isFolder: boolean; signal: AbortSignal },
  ): Promise<void> {
    const { engine, folders, log, settings } = this.#deps;
    const fields = { op: "runtime.sweep", orphan: name, dry_run: settings.sweepDryRun };
    if (settings.sweepDryRun) return log.warn({ ...fields, ok: true });
    try {
      if (isFolder) for (const id of await folders.list()) if (id === key) await folders.remove(id);
      if (!isFolder) await engine.removeContainer(key, signal);
      log.warn({ ...fields, ok: true });
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ ...fields, ok: false, err: toFault(error) });
    }
  }
}
