/**
 * Removes orphans: containers with our instance's label, host folders, and sockets of dead processes that belong to no
 * live row. Guarantees: an orphan is removed only after it has been one for the whole grace period, and only in a pass
 * in which the store answered.
 */
import type { ContainerState } from "../../domain/container.ts";
import { toFault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Engine } from "../../engine/engine.ts";
import { parseLabels } from "../../engine/labels.ts";
import type { Log } from "../../observe/log.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import type { RuntimeFolders } from "../launch/runtime-folders.ts";

export interface SweepDeps {
  readonly store: Pick<Store, "runtimes" | "processes">;
  readonly engine: Pick<Engine, "removeContainer">;
  readonly folders: RuntimeFolders;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: { readonly orphanGraceMs: number };
}

interface Orphan {
  readonly key: string;
  readonly name: string;
  readonly remove: () => Promise<void>;
}

export class Sweeper {
  readonly #deps: SweepDeps;
  /** When an orphan was seen first. */
  readonly #since = new Map<string, number>();

  constructor(deps: SweepDeps) {
    this.#deps = deps;
  }

  /** Answers the names of the orphans that were due. Throws `store_unavailable` before it removes anything. */
  async sweep(containers: readonly ContainerState[], signal: AbortSignal): Promise<readonly string[]> {
    const { store, folders, engine } = this.#deps;
    const onDisk = await folders.list();
    const sockets = await this.#listSockets(onDisk);
    // The rows are read last: whatever was made between the listings has its row by now.
    const [liveRows, processRows] = await Promise.all([
      store.runtimes.listLive(),
      store.processes.listLive(),
    ]);
    const live = new Set<string>(liveRows.map(({ id }) => id));
    const processes = new Set(processRows.map(({ id }) => id));
    const ours = containers.filter(({ labels }) => parseLabels(labels)?.kind === "runtime");
    const isOrphan = ({ labels }: ContainerState) => !live.has(parseLabels(labels)?.runtime ?? "");
    const due = this.#due([
      ...ours.filter(isOrphan).map(({ id, name }) => ({
        name,
        key: id,
        remove: () => engine.removeContainer(id, signal),
      })),
      ...onDisk
        .filter((id) => !live.has(id))
        .map((id) => ({ name: id, key: id, remove: () => folders.remove(id) })),
      ...sockets.filter(({ host }) => !processes.has(host)),
    ]);
    for (const orphan of due) {
      signal.throwIfAborted();
      await this.#remove(orphan, signal);
    }
    return due.map(({ name }) => name);
  }

  async #listSockets(ids: readonly RuntimeId[]): Promise<readonly (Orphan & { readonly host: string })[]> {
    const { folders } = this.#deps;
    const found = ids.map(async (id) =>
      (await folders.listHosts(id)).map((host) => ({
        host,
        name: `${id}/${host}`,
        key: `${id}/${host}`,
        remove: () => folders.removeHost(id, host),
      })),
    );
    return (await Promise.all(found)).flat();
  }

  #due(orphans: readonly Orphan[]): readonly Orphan[] {
    const now = this.#deps.clock.now();
    const seen = new Set(orphans.map(({ key }) => key));
    for (const key of this.#since.keys()) if (!seen.has(key)) this.#since.delete(key);
    for (const key of seen) if (!this.#since.has(key)) this.#since.set(key, now);
    const { orphanGraceMs } = this.#deps.settings;
    return orphans.filter(({ key }) => now - (this.#since.get(key) ?? now) >= orphanGraceMs);
  }

  async #remove({ name, remove }: Orphan, signal: AbortSignal): Promise<void> {
    const { log } = this.#deps;
    const fields = { op: "runtime.sweep", orphan: name };
    try {
      await remove();
      log.warn({ ...fields, ok: true });
    } catch (error) {
      signal.throwIfAborted();
      log.warn({ ...fields, ok: false, err: toFault(error) });
    }
  }
}
