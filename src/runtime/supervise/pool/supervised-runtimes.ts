import type { RuntimeId } from "../../../domain/ids.ts";
import type { RuntimeRecord } from "../../../domain/runtime.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";

/** The observed state of one pool: the runtimes that this process supervises. */
export class SupervisedRuntimes {
  readonly #byId = new Map<RuntimeId, SupervisedRuntime>();

  get all(): readonly SupervisedRuntime[] {
    return [...this.#byId.values()];
  }

  /** Those that take calls, the newest first. */
  get serving(): readonly SupervisedRuntime[] {
    const generation = ({ live }: SupervisedRuntime) => live.record.generation;
    return this.all
      .filter(({ isEnding, draining }) => !isEnding && !draining)
      .sort((a, b) => generation(b) - generation(a));
  }

  get isServing(): boolean {
    return this.serving.length > 0;
  }

  /** Those that take calls and whose slot a newer one has taken. */
  get superseded(): readonly SupervisedRuntime[] {
    const { serving } = this;
    return serving.filter(({ slot }, index) => serving.findIndex((other) => other.slot === slot) < index);
  }

  /** Slots of those that take calls. */
  get slots(): ReadonlySet<number> {
    return new Set(this.serving.map(({ slot }) => slot));
  }

  /** Some have ended, and have not been reaped yet. */
  get haveEnded(): boolean {
    return this.all.some(({ isEnding, draining }) => isEnding && !draining);
  }

  /** What the engine grants some of them is to be read again. */
  get areUncertain(): boolean {
    return this.serving.some(({ isUncertain }) => isUncertain);
  }

  find(id: RuntimeId): SupervisedRuntime | undefined {
    return this.#byId.get(id);
  }

  add(runtime: SupervisedRuntime): void {
    this.#byId.set(runtime.live.record.id, runtime);
  }

  delete(id: RuntimeId): void {
    this.#byId.delete(id);
  }

  /** The row says what is not known here: another runtime, or that one is to drain. */
  isUnseen({ id, state }: RuntimeRecord): boolean {
    const runtime = this.#byId.get(id);
    return runtime === undefined || (state === "draining" && !runtime.draining);
  }

  /** Those that should run and whose container is not in the engine's list. */
  missingFrom(running: ReadonlySet<string>): readonly RuntimeId[] {
    return this.all
      .filter(({ isEnding, draining, live }) => !isEnding && !draining && !running.has(live.containerId))
      .map(({ live }) => live.record.id);
  }
}
