/** Rows in memory keep the store's contract wherever another test stands on their rules. */
import { describe } from "vitest";
import { InstallationId } from "../../src/domain/ids.ts";
import { systemClock } from "../../src/util/clock.ts";
import { anInstallation } from "../harness/builders/an-installation.ts";
import { credentialRowsIn } from "../harness/doubles/credential-rows.ts";
import { endpointRowsIn } from "../harness/doubles/endpoint-rows.ts";
import { imageRowsInMemory } from "../harness/doubles/image-rows.ts";
import { keyRowsIn } from "../harness/doubles/key-rows.ts";
import { MemoryRows } from "../harness/doubles/memory-rows.ts";
import { platformTaskRowsIn } from "../harness/doubles/platform-task-rows.ts";
import { credentialContract } from "./store/credentials.contract.ts";
import { endpointContract } from "./store/endpoints.contract.ts";
import { hostMemoryContract } from "./store/host-memory.contract.ts";
import { imageContract } from "./store/images.contract.ts";
import { keyContract } from "./store/keys.contract.ts";
import { platformTaskContract } from "./store/platform-tasks.contract.ts";
import { type PoolSubject, poolContract } from "./store/pools.contract.ts";
import { processContract } from "./store/processes.contract.ts";
import { runtimeContract } from "./store/runtimes.contract.ts";

describe("rows in memory for the tests of supervision", () => {
  const rows = new MemoryRows({ clock: systemClock });
  describe("pools", () => poolContract(() => poolSubject(rows)));
  describe("runtimes", () => runtimeContract(() => rows.runtimes));
  describe("processes", () => processContract(() => rows.processes));
  describe("a host's memory", () => {
    const host = new MemoryRows({ clock: systemClock });
    hostMemoryContract(() => ({
      pools: host.pools,
      runtimes: host.runtimes,
      reservedBy: async (tenantId) => {
        const live = await host.runtimes.listLive();
        const own = live.filter(({ poolKey }) => host.pool(poolKey).tenantId === tenantId);
        return own.reduce((bytes, { id }) => bytes + (host.reserved.get(id) ?? 0), 0);
      },
    }));
  });
});

describe("rows in memory for the tests of the HTTP server", () => {
  const [keys, platformTasks] = [keyRowsIn([]), platformTaskRowsIn([])];
  const installed = new Set<string>();
  const endpoints = endpointRowsIn([], ({ tenantId, pluginId }) => installed.has(`${tenantId} ${pluginId}`));
  describe("keys", () => keyContract(() => keys));
  describe("the platform's tasks", () => platformTaskContract(() => platformTasks));
  const credentials = credentialRowsIn([]);
  describe("credentials", () =>
    credentialContract(() => ({
      credentials,
      install: async () => ({
        installationId: InstallationId.parse(crypto.randomUUID()),
        pluginId: `acme/p${crypto.randomUUID().slice(0, 8)}`,
      }),
    })));
  describe("endpoints", () =>
    endpointContract(() => ({
      endpoints,
      install: async (tenantId) => {
        const pluginId = `acme/p${crypto.randomUUID().slice(0, 8)}`;
        installed.add(`${tenantId} ${pluginId}`);
        return { tenantId, pluginId };
      },
    })));
});

describe("rows in memory for the tests of builds", () => {
  const images = imageRowsInMemory();
  describe("images", () => imageContract(() => images));
});

function poolSubject(rows: MemoryRows): PoolSubject {
  return {
    pools: rows.pools,
    runtimes: rows.runtimes,
    use: async (poolKey) => {
      const id = InstallationId.parse(crypto.randomUUID());
      const point = (desired: "enabled" | "disabled" | "removed") => {
        rows.installationRows.set(id, anInstallation({ id, poolKey, desired }));
      };
      point("enabled");
      return {
        disable: async () => point("disabled"),
        uninstall: async () => point("removed"),
      };
    },
  };
}
