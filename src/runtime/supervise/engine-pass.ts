/**
 * Compares the engine's containers with the supervised runtimes: for one that is missing from the list the pool asks the
 * engine how it ended, and the sweeper removes orphans. It runs on a timer and after each gap in the engine's events,
 * which are the fast way to the same.
 */
import type { Engine, EngineEvent } from "../../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../../engine/labels.ts";
import type { Log } from "../../observe/log.ts";
import type { RuntimeLinks } from "../reach/runtime-links.ts";
import type { HeldPools } from "./held-pools.ts";
import type { Sweeper } from "./sweep.ts";

export interface EnginePassOptions {
  readonly engine: Pick<Engine, "listContainers">;
  readonly instanceId: string;
  readonly links: Pick<RuntimeLinks, "idOf">;
  readonly log: Log;
  readonly held: HeldPools;
  readonly sweeper: Sweeper;
  /** Runs it in the background. */
  readonly soon: (work: () => Promise<void>) => void;
}

export class EnginePass {
  readonly #options: EnginePassOptions;

  constructor(options: EnginePassOptions) {
    this.#options = options;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { engine, instanceId, log, held, sweeper } = this.#options;
    const labels = formatLabelFilter({ instance: instanceId, kind: "runtime" });
    const containers = await engine.listContainers(labels, signal);
    const running = new Set(containers.filter(({ phase }) => phase === "running").map(({ id }) => id));
    let corrections = 0;
    for (const [key, supervisor] of held.all) {
      // Forgotten since, while an earlier one was waited for.
      if (held.find(key) !== supervisor) continue;
      for (const id of supervisor.missingFrom(running)) {
        corrections += 1;
        await supervisor.noteDied(id);
      }
    }
    const orphans = await sweeper.sweep(containers, signal);
    if (corrections + orphans.length > 0) {
      log.warn({ op: "runtime.reconcile", ok: true, corrections, orphans: orphans.length });
    }
  }

  /** Passes an event on to the pool that it concerns, which asks the engine what has happened. */
  onEvent({ action, labels, containerId }: EngineEvent): void {
    const { held, links, soon } = this.#options;
    const parsed = parseLabels(labels);
    const supervisor = parsed?.pool === undefined ? undefined : held.find(parsed.pool);
    const id = parsed?.runtime === undefined ? undefined : links.idOf(parsed.runtime);
    if (supervisor === undefined || id === undefined) return;
    // Anybody can copy labels, so the container's id decides.
    if (action === "oom") supervisor.noteOom(id, containerId);
    if (action === "die" || action === "destroy") soon(() => supervisor.noteDied(id));
  }
}
