/**
 * Waiting that an AbortSignal ends. For events of an EventEmitter, Node's own `events.once` takes a signal; these two
 * are for promises and for listeners of our own.
 */

/**
 * What the work resolves or rejects with, or the signal's reason as soon as it aborts. An abort ends the wait, not the
 * work: whoever wants that too passes the signal on. A failure that comes after the abort is dropped.
 */
export async function waitOrAbort<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    signal.throwIfAborted();
    return await Promise.race([work, promise]);
  } finally {
    signal.removeEventListener("abort", onAbort);
    work.catch(() => undefined);
  }
}

/**
 * Resolves with what `look` returns as soon as that is defined: `look` is called once now and after each call of the
 * subscribed listener. Rejects with what `look` throws, and with the signal's reason as soon as it aborts. The
 * subscription has ended when this settles.
 */
export async function waitFor<T>(
  { look, subscribe }: { look: () => T | undefined; subscribe: (listener: () => void) => () => void },
  signal: AbortSignal,
): Promise<T> {
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  const check = () => {
    try {
      const found = look();
      if (found !== undefined) resolve(found);
    } catch (error) {
      reject(error);
    }
  };
  const unsubscribe = subscribe(check);
  try {
    check();
    return await waitOrAbort(promise, signal);
  } finally {
    unsubscribe();
  }
}
