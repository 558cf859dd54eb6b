/**
 * The store of tests of the HTTP server. Keys, endpoints, credentials and the platform's tasks are rows with rules, on
 * which the store's contract runs; the rest are canned answers. Calls are counted; a method that the server never needs
 * throws.
 */
import type { InstallTask } from "../../../src/domain/install-task.ts";
import type { CredentialRecord } from "../../../src/store/contracts/credentials.ts";
import type { EndpointRecord } from "../../../src/store/contracts/endpoints.ts";
import type { ApiKey } from "../../../src/store/contracts/keys.ts";
import type { Store } from "../../../src/store/store.ts";
import { aStoredPackage } from "../builders/a-stored-package.ts";
import { anInstallation } from "../builders/an-installation.ts";
import { type CannedState, cannedRows } from "./canned-rows.ts";
import { credentialRowsIn } from "./credential-rows.ts";
import { endpointRowsIn } from "./endpoint-rows.ts";
import { keyRowsIn } from "./key-rows.ts";
import { partialRows } from "./partial-rows.ts";
import { platformTaskRowsIn } from "./platform-task-rows.ts";

export interface DoorStore extends CannedState {
  readonly store: Store;
  /** `<rows>.<method>` of every call. */
  readonly calls: string[];
  readonly installTasks: InstallTask[];
  readonly keys: ApiKey[];
  readonly endpoints: EndpointRecord[];
  readonly credentials: CredentialRecord[];
  /** Rows of installations do not answer before this resolves. */
  hang: Promise<void> | undefined;
}

export function doorStore(): DoorStore {
  const state: Omit<DoorStore, "store"> = {
    calls: [],
    packages: [aStoredPackage()],
    installations: [anInstallation()],
    tasks: [],
    installTasks: [],
    events: [],
    keys: [],
    endpoints: [],
    credentials: [],
    quotas: new Map(),
    sharedPool: false,
    hang: undefined,
  };
  return Object.assign(state, { store: storeOf(state) });
}

function storeOf(state: Omit<DoorStore, "store">): Store {
  const rows = <T extends object>(name: string, part: NoInfer<Partial<T>> = {}): T =>
    partialRows(name, part, (method, answer) => {
      state.calls.push(method);
      return state.hang !== undefined && name.startsWith("install") ? state.hang.then(answer) : answer();
    });
  const canned = cannedRows(state);
  return {
    instanceId: "testtest",
    databaseId: "memory",
    keys: rows("keys", keyRowsIn(state.keys)),
    endpoints: rows("endpoints", endpointRowsIn(state.endpoints)),
    credentials: rows("credentials", credentialRowsIn(state.credentials)),
    platformTasks: rows("platformTasks", platformTaskRowsIn(state.installTasks)),
    packages: rows("packages", canned.packages),
    bundles: rows("bundles", canned.bundles),
    installations: rows("installations", canned.installations),
    installed: rows("installed", canned.installed),
    platform: rows("platform", canned.platform),
    tasks: rows("tasks", canned.tasks),
    pools: rows("pools", canned.pools),
    runtimes: rows("runtimes", canned.runtimes),
    trust: rows("trust", canned.trust),
    dependencies: rows("dependencies", canned.dependencies),
    egress: rows("egress", canned.egress),
    variables: rows("variables", canned.variables),
    permissions: rows("permissions", canned.permissions),
    tenants: rows("tenants", canned.tenants),
    events: rows("events", canned.events),
    debug: rows("debug"),
    images: rows("images"),
    readmes: rows("readmes"),
    storageSizes: rows("storageSizes"),
    upgrades: rows("upgrades"),
    processes: rows("processes"),
    leases: rows("leases"),
    importedImages: rows("importedImages"),
    disk: rows("disk"),
    takeover: rows("takeover"),
    ping: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
