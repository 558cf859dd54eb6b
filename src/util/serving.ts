/**
 * The unit of work that the current code belongs to, which Node carries through every callback and promise. An uncaught
 * exception can so be attributed to its unit, and ends only that.
 */
import { AsyncLocalStorage } from "node:async_hooks";

/** A unit of work that can be ended from outside. */
export interface Unit {
  readonly kind: "request" | "task";
  /** Fields that name it in the log. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** Ends it after an uncaught exception. Must not throw. */
  readonly end: (error: unknown) => void;
}

interface Serving {
  readonly unit: Unit | undefined;
  /** Locks under which this code started; each counts while it is held. */
  readonly locks: readonly Lock[];
}

interface Lock {
  isHeld: boolean;
}

const NOBODY: Serving = { unit: undefined, locks: [] };
const serving = new AsyncLocalStorage<Serving>();

/** Runs the work, and everything that it starts, as part of the unit. */
export function serveUnit<T>(unit: Unit, work: () => T): T {
  return serving.run({ ...(serving.getStore() ?? NOBODY), unit }, work);
}

/** Runs the work as the holder of a lock, until it ends. */
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
 * For the handler of uncaught exceptions: the unit of the code that threw, and whether it held a lock. Clears both for
 * the code that runs next, which Node does not do after an exception.
 */
export function leaveServing(): { readonly unit: Unit | undefined; readonly isUnderLock: boolean } {
  const { unit, locks } = serving.getStore() ?? NOBODY;
  serving.enterWith(NOBODY);
  return { unit, isUnderLock: locks.some(({ isHeld }) => isHeld) };
}
