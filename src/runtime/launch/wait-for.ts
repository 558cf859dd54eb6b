/** Resolves with what `look` returns as soon as that is defined: asked now and after each call of the subscribed listener. */
export function waitFor<T>(
  { look, subscribe }: { look: () => T | undefined; subscribe: (listener: () => void) => () => void },
  signal: AbortSignal,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const finish = (settle: () => void) => {
      unsubscribe();
      signal.removeEventListener("abort", onAbort);
      settle();
    };
    const check = () => {
      const found = look();
      if (found !== undefined) finish(() => resolve(found));
    };
    const onAbort = () => finish(() => reject(signal.reason));
    const unsubscribe = subscribe(check);
    signal.addEventListener("abort", onAbort, { once: true });
    check();
  });
}
