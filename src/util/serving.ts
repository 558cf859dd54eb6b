/**
 * What the code that runs now works for: carried along by the runtime through every callback and promise, so that an
 * exception which nobody catches can be told to whom it belongs, and end that and nothing else.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** A unit of work that can be ended from outside. */
export interface Unit {
  readonly kind: "request" | "task";
  /** Fields that name it in the log. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Ends it, because something of it was thrown to nobody. Must not throw. */
  readonly end: (error: unknown) => void;
}

interface Serving {
  readonly unit: Unit | undefined;
  /** Locks under which this code began to run; each counts as long as it is held. */
  readonly locks: readonly Lock[];
}

interface Lock {
  isHeld: boolean;
}

const NOBODY: Serving = { unit: undefined, locks: [] };
const serving = new AsyncLocalStorage<Serving>();

/** Runs the work, and all that it sets off, as that of the unit. */
export function serveUnit<T>(unit: Unit, work: () => T): T {
  return serving.run({ ...(serving.getStore() ?? NOBODY), unit }, work);
}

/** Runs the work as that of a holder of a lock, until it ends. */
export async function holdLock<T>(work: () => Promise<T>): Promise<T> {
  const { unit, locks } = serving.getStore() ?? NOBODY;
  const lock = { isHeld: true };
  try {
    return await serving.run({ unit, locks: [...locks.filter(({ isHeld }) => isHeld), lock] }, work);
  } finally {
    lock.isHeld = false;
  }
}

/**
 * For the handler of exceptions: what the code that threw worked for, and whether it held a lock. What runs next is
 * nobody's again: the runtime does not see to that after an exception.
 */
export function leaveServing(): { readonly unit: Unit | undefined; readonly isUnderLock: boolean } {
  const { unit, locks } = serving.getStore() ?? NOBODY;
  serving.enterWith(NOBODY);
  return { unit, isUnderLock: locks.some(({ isHeld }) => isHeld) };
}
