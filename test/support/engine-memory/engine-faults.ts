import { Fault } from "../../../src/domain/fault.ts";

/** Operations that a test may count or fail. */
export type MemoryOperation =
  | "create"
  | "start"
  | "update"
  | "stop"
  | "kill"
  | "remove"
  | "find"
  | "list"
  | "commit"
  | "exec";

/** What a test lets fail: every call enters here first. */
export class EngineFaults {
  readonly #counts = new Map<MemoryOperation, number>();
  readonly #failures = new Map<MemoryOperation, Fault[]>();
  isUnavailable = false;
  /** The next create makes its container and fails with `engine_unavailable`. */
  losesCreateReply = false;

  failNext(operation: MemoryOperation, fault: Fault): void {
    this.#failures.set(operation, [...(this.#failures.get(operation) ?? []), fault]);
  }

  count(operation: MemoryOperation): number {
    return this.#counts.get(operation) ?? 0;
  }

  enter(operation: MemoryOperation | undefined, signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.isUnavailable) throw engineGone();
    if (operation === undefined) return;
    this.#counts.set(operation, this.count(operation) + 1);
    const fault = this.#failures.get(operation)?.shift();
    if (fault !== undefined) throw fault;
  }
}

export function engineGone(): Fault {
  return new Fault("engine_unavailable", "The Engine does not answer (a test took it away).");
}
