/**
 * Answers about the packages, installations and tasks that a test of the HTTP server puts there. They have none of the
 * store's rules: nothing is accepted, leased, fenced or published, and every list is one page. Each has only the methods
 * that its type names.
 */
import { RuntimeId, type TenantId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import { pluginStatus } from "../../../src/domain/plugin-status.ts";
import type { RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { Task, TaskEvent } from "../../../src/domain/task.ts";
import { NO_QUOTAS, type TenantQuotas } from "../../../src/domain/tenant-quotas.ts";
import type { Installed } from "../../../src/store/contracts/installed.ts";
import type { StoredPackage } from "../../../src/store/contracts/packages.ts";
import type { PlatformInstallation } from "../../../src/store/contracts/platform.ts";
import type { Store } from "../../../src/store/store.ts";
import { aPool } from "../builders/a-pool.ts";
import { IDENTIFIER } from "../builders/a-stored-package.ts";
import { LIMITS } from "../builders/an-installation.ts";
import { TENANT } from "../samples/callers.ts";

/** What the answers are made of; a test reads and changes it. */
export interface CannedState {
  readonly packages: StoredPackage[];
  readonly installations: Installation[];
  readonly tasks: Task[];
  readonly events: TaskEvent[];
  readonly quotas: Map<TenantId, TenantQuotas>;
  /** Every pool serves all tenants. */
  sharedPool: boolean;
}

export function cannedRows(state: CannedState) {
  return {
    packages: packages(state),
    installations: installations(state),
    installed: installed(state),
    platform: platform(state),
    tasks: tasks(state),
    pools: pools(state),
    tenants: tenants(state),
    permissions: permissions(state),
    ...others(),
  };
}

const page = <T>(items: readonly T[]) => Promise.resolve({ items, nextCursor: undefined });

function packages(state: CannedState): Pick<Store["packages"], "find" | "list" | "isVisibleTo"> {
  return {
    find: async (identifier) => state.packages.find((it) => it.identifier === identifier),
    list: () => page(state.packages),
    isVisibleTo: async (identifier, tenantId) =>
      state.installations.some((it) => it.identifier === identifier && it.tenantId === tenantId),
  };
}

function installations(
  state: CannedState,
): Pick<Store["installations"], "find" | "findByPlugin" | "isPublished" | "list" | "changedSince"> {
  return {
    find: async (id) => state.installations.find((it) => it.id === id),
    findByPlugin: async (tenantId, pluginId) =>
      state.installations.find((it) => it.tenantId === tenantId && it.pluginId === pluginId),
    isPublished: async () => true,
    list: ({ tenantId }) => page(state.installations.filter((it) => it.tenantId === tenantId)),
    changedSince: async () => ({ items: [...state.installations], removed: [], at: new Date() }),
  };
}

function permissions(state: CannedState): Store["permissions"] {
  return {
    set: async (id, chosen) => {
      const place = state.installations.findIndex((it) => it.id === id);
      const before = state.installations[place];
      if (before !== undefined) state.installations[place] = { ...before, permissions: chosen };
    },
  };
}

function installed(
  state: CannedState,
): Pick<Store["installed"], "find" | "list" | "providers" | "providerNames"> {
  const withPackage = (installation: Installation): Installed => ({
    installation,
    category: "tool",
    status: pluginStatus(installation.state, "ready"),
    declaration: state.packages.find(({ identifier }) => identifier === installation.identifier)?.declaration,
  });
  return {
    find: async (id) => state.installations.map(withPackage).find((it) => it.installation.id === id),
    list: ({ tenantId }) =>
      page(state.installations.filter((it) => it.tenantId === tenantId).map(withPackage)),
    providers: () => page([]),
    providerNames: async () => [],
  };
}

function platform(
  state: CannedState,
): Pick<
  Store["platform"],
  "findInstallation" | "findInstallationById" | "installationsOf" | "identifiersShowing" | "declarations"
> {
  const of = (tenantId: TenantId) =>
    state.installations.filter((it) => it.tenantId === tenantId).map(platformRow);
  return {
    findInstallation: async (tenantId, pluginId) => of(tenantId).find((it) => it.pluginId === pluginId),
    findInstallationById: async (tenantId, id) => of(tenantId).find((it) => it.id === id),
    installationsOf: async (tenantId, pluginIds) =>
      of(tenantId).filter(({ pluginId }) => pluginIds.includes(pluginId)),
    identifiersShowing: async () => [],
    declarations: async (identifiers) =>
      new Map(
        state.packages
          .filter(({ identifier }) => identifiers.includes(identifier))
          .map(({ identifier, declaration }) => [identifier, declaration]),
      ),
  };
}

function platformRow(installation: Installation): PlatformInstallation {
  const { id, tenantId, pluginId, identifier, source, meta, createdAt, updatedAt } = installation;
  const row = { id, tenantId, pluginId, identifier, source, meta, createdAt, updatedAt };
  return { ...row, runtimeType: "local", endpointsSetups: 0, endpointsActive: 0 };
}

function tasks(
  state: CannedState,
): Pick<Store["tasks"], "find" | "children" | "latestOf" | "list" | "events"> {
  return {
    find: async (id) => state.tasks.find((it) => it.id === id),
    children: async () => [],
    latestOf: async (id) => state.tasks.find((it) => it.installationId === id),
    list: () => page(state.tasks),
    events: async (_id, after) => state.events.filter(({ seq }) => seq > after),
  };
}

function pools(state: CannedState): Pick<Store["pools"], "find"> {
  const tenantId = () => (state.sharedPool ? undefined : TENANT);
  const plugin = { pluginId: "berth/echo", identifier: IDENTIFIER, limits: LIMITS };
  return { find: async (key) => aPool({ key, tenantId: tenantId(), ...plugin, state: "ready" }) };
}

function tenants(
  state: CannedState,
): Pick<Store["tenants"], "defaultQuotas" | "find" | "listQuotas" | "quotas"> {
  return {
    defaultQuotas: NO_QUOTAS,
    find: async () => undefined,
    listQuotas: async () => state.quotas,
    quotas: async (id) => ({
      quotas: state.quotas.get(id) ?? NO_QUOTAS,
      usage: { installations: 1, memoryBytes: 0, diskBytes: 0 },
    }),
  };
}

/** The same answers whatever a test puts there. */
function others(): {
  readonly bundles: Pick<Store["bundles"], "find" | "list" | "isVisibleTo">;
  readonly runtimes: Pick<Store["runtimes"], "listOfPlugin">;
  readonly trust: Pick<Store["trust"], "keys" | "policyOf" | "signaturesOf" | "admission" | "admissions">;
  readonly dependencies: Pick<Store["dependencies"], "needsOf" | "dependentsOf">;
  readonly egress: Pick<Store["egress"], "find">;
  readonly variables: Pick<Store["variables"], "get">;
  readonly events: Pick<Store["events"], "list">;
} {
  const nothing = () => Promise.resolve(undefined);
  const none = () => Promise.resolve([]);
  return {
    bundles: { find: nothing, list: () => page([]), isVisibleTo: async () => false },
    runtimes: { listOfPlugin: async ({ tenantId }) => someRuntimes(tenantId) },
    trust: {
      keys: none,
      policyOf: nothing,
      signaturesOf: none,
      admission: nothing,
      admissions: () => page([]),
    },
    dependencies: { needsOf: none, dependentsOf: none },
    egress: { find: nothing },
    variables: { get: none },
    events: { list: () => page([]) },
  };
}

/** One that runs, one of a shared pool that crashed, one of the tenant's own that hung. */
function someRuntimes(tenantId: TenantId): readonly RuntimeRecord[] {
  const at = new Date("2026-01-01T00:00:00Z");
  const live = {
    id: RuntimeId.parse("aaaaaaaaaa"),
    poolKey: "pool",
    slot: 0,
    generation: 3,
    containerName: "c",
    containerId: undefined,
    specHash: "h",
    state: "ready",
    startedAt: at,
    readyAt: at,
    endedAt: undefined,
    end: undefined,
    tenantId,
    pluginId: "berth/echo",
    identifier: IDENTIFIER,
  } as const;
  const ended = { ...live, state: "ended", endedAt: at } as const;
  return [
    live,
    { ...ended, tenantId: undefined, end: { reason: "crashed", logs: ["a line"] } },
    { ...ended, end: { reason: "unhealthy", logs: ["a line"] } },
  ];
}
