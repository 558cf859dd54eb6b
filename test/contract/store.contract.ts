/** The store's contract, put together from that of each aggregate, on whichever database `create` makes. */
import { describe } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { type TestDatabase, useStore } from "../harness/rigs/stores.ts";
import { acceptanceContract } from "./store/acceptance.contract.ts";
import { accepting } from "./store/accepting.ts";
import { changeContract } from "./store/changes.contract.ts";
import { imageContract } from "./store/images.contract.ts";
import { keyContract } from "./store/keys.contract.ts";
import { leaseContract } from "./store/leases.contract.ts";
import { packageContract } from "./store/packages.contract.ts";
import { type PoolSubject, poolContract } from "./store/pools.contract.ts";
import { processContract } from "./store/processes.contract.ts";
import { runtimeContract } from "./store/runtimes.contract.ts";
import { taskContract } from "./store/tasks.contract.ts";

export function storeContract(create: () => Promise<TestDatabase>): void {
  let opened: Store;
  useStore(create, (store) => {
    opened = store;
  });
  const store = () => opened;
  describe("packages", () => packageContract(store));
  describe("acceptance", () => acceptanceContract(store));
  describe("tasks", () => taskContract(store));
  describe("changes", () => changeContract(store));
  describe("images", () => imageContract(() => store().images));
  describe("pools", () => poolContract(() => poolSubject(store())));
  describe("runtimes", () => runtimeContract(() => store().runtimes));
  describe("keys", () => keyContract(() => store().keys));
  describe("processes", () => processContract(() => store().processes));
  describe("leases", () => leaseContract(() => store().leases));
}

function poolSubject(store: Store): PoolSubject {
  const { ready } = accepting(() => store);
  return {
    pools: store.pools,
    runtimes: store.runtimes,
    use: async (poolKey) => {
      const { id } = (await ready()).installation;
      await store.installations.setPool(id, poolKey, []);
      return {
        disable: async () => {
          await store.installations.acceptChange({ id, kind: "disable" });
        },
        uninstall: async () => {
          await store.installations.acceptUninstall(id);
        },
      };
    },
  };
}
