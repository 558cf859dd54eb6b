import { Fault } from "../../../src/domain/fault.ts";
import type { Store } from "../../../src/store/store.ts";

export interface MortalStore {
  readonly store: Store;
  /** Calls that were asked for, also those that nobody answered any more. */
  readonly calls: number;
}

/**
 * The store of a process that is killed before its call number `dieAt`: that call and all later ones do nothing and fail.
 * Earlier ones reach the store given, so its rules are the real ones.
 */
export function mortalStore(real: Store, dieAt: number): MortalStore {
  let calls = 0;
  const counted = (rows: object): object =>
    new Proxy(rows, {
      get(target, name) {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          calls += 1;
          if (calls >= dieAt) return Promise.reject(new Fault("store_unavailable", "The process is gone."));
          return Reflect.apply(value, target, args) as unknown;
        };
      },
    });
  const groups = new Map<PropertyKey, object>();
  const store = new Proxy(real, {
    get(target, name) {
      const value: unknown = Reflect.get(target, name);
      if (typeof value !== "object" || value === null) return value;
      const known = groups.get(name) ?? counted(value);
      groups.set(name, known);
      return known;
    },
  });
  return {
    store,
    get calls() {
      return calls;
    },
  };
}
