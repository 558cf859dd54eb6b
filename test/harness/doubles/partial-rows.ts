/** Rows that have the methods given; any other throws, so that a test that reaches it fails with its name. */
export function partialRows<T extends object>(
  name: string,
  part: NoInfer<Partial<T>>,
  onCall: (method: string, answer: () => unknown) => unknown = (_method, answer) => answer(),
): T {
  return new Proxy(part, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key);
      if (value === undefined) throw new Error(`these rows have no ${name}.${String(key)}`);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) =>
        onCall(`${name}.${String(key)}`, () => Reflect.apply(value, target, args) as unknown);
    },
  }) as T;
}
