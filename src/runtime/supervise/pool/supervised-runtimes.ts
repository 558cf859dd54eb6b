import type { RuntimeId } from "../../../domain/ids.ts";
import type { RuntimeRecord } from "../../../domain/runtime.ts";
import type { SupervisedRuntime } from "./supervised-runtime.ts";

/** The Runtimes of one Pool that its supervisor knows. */
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

  /** Those that take calls and whose place a newer one has taken. */
  get superseded(): readonly SupervisedRuntime[] {
    const { serving } = this;
    return serving.filter(({ slot }, index) => serving.findIndex((other) => other.slot === slot) < index);
  }

  /** Places of those that take calls. */
  get slots(): ReadonlySet<number> {
    return new Set(this.serving.map(({ slot }) => slot));
  }

  /** Some have ended, and have not been buried yet. */
  get haveEnded(): boolean {
    return this.all.some(({ isEnding, draining }) => isEnding && !draining);
  }

  /** Of some it is to be looked at what they are granted. */
  get areUncertain(): boolean {
    return this.serving.some(({ isUncertain }) => isUncertain);
  }

  find(id: RuntimeId): SupervisedRuntime | undefined {
    return this.#byId.get(id);
  }

  add(member: SupervisedRuntime): void {
    this.#byId.set(member.live.record.id, member);
  }

  delete(id: RuntimeId): void {
    this.#byId.delete(id);
  }

  /** The row tells what is not known here: another Runtime, or that one is to drain. */
  isUnseen({ id, state }: RuntimeRecord): boolean {
    const member = this.#byId.get(id);
    return member === undefined || (state === "draining" && !member.draining);
  }

  /** Those that should run and of which the Engine's list knows nothing. */
  missingFrom(running: ReadonlySet<string>): readonly RuntimeId[] {
    return this.all
      .filter(({ isEnding, draining, live }) => !isEnding && !draining && !running.has(live.containerId))
      .map(({ live }) => live.record.id);
  }
}
