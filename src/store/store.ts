/**
 * The store contract: Berth's state, in rows. Each method is one statement or one transaction, and waits for nothing but
 * the database. A lease is a conditional update of a row that names holder, attempt and expiry (an embedded database has
 * one session, in which advisory locks lock nothing); writes of its holder are fenced by the attempt.
 *
 * Every method throws `store_unavailable` where the database does not answer, and a fenced write `lease_lost` where it
 * came too late. `find` answers undefined, `get` throws the `*_not_found` of its kind. Lists are newest first.
 */
import type { BundleRows } from "./contracts/bundles.ts";
import type { CredentialRows } from "./contracts/credentials.ts";
import type { DebugRows } from "./contracts/debug.ts";
import type { DependencyRows } from "./contracts/dependencies.ts";
import type { DiskRows } from "./contracts/disk.ts";
import type { EgressRows } from "./contracts/egress.ts";
import type { EndpointRows } from "./contracts/endpoints.ts";
import type { EventRows } from "./contracts/events.ts";
import type { ImageRows } from "./contracts/images.ts";
import type { ImportedImageRows } from "./contracts/imported-images.ts";
import type { InstallationRows } from "./contracts/installations.ts";
import type { InstalledRows } from "./contracts/installed.ts";
import type { KeyRows } from "./contracts/keys.ts";
import type { LeaseRows } from "./contracts/leases.ts";
import type { PackageStoreRows } from "./contracts/packages.ts";
import type { PermissionRows } from "./contracts/permissions.ts";
import type { PlatformRows } from "./contracts/platform.ts";
import type { PlatformTaskRows } from "./contracts/platform-tasks.ts";
import type { PoolRows } from "./contracts/pools.ts";
import type { ProcessRows } from "./contracts/processes.ts";
import type { ReadmeRows } from "./contracts/readmes.ts";
import type { RuntimeRows } from "./contracts/runtimes.ts";
import type { StorageSizes } from "./contracts/storage-sizes.ts";
import type { TakeoverRows } from "./contracts/takeover.ts";
import type { TaskRows } from "./contracts/tasks.ts";
import type { TenantRows } from "./contracts/tenants.ts";
import type { TrustRows } from "./contracts/trust.ts";
import type { UpgradeRows } from "./contracts/upgrades.ts";
import type { VariableRows } from "./contracts/variables.ts";

export interface Store extends AsyncDisposable {
  /** Random, created once per database: `[a-z0-9]{8}`. Part of every name and label that Berth gives on the engine. */
  readonly instanceId: string;
  /** Differs between databases, also between a copy and its original: the ids of server and database, or `embedded`, which its folder identifies. */
  readonly databaseId: string;
  // what tenants may install
  readonly packages: PackageStoreRows;
  readonly bundles: BundleRows;
  readonly readmes: ReadmeRows;
  readonly trust: TrustRows;
  // what they have installed
  readonly installations: InstallationRows;
  readonly installed: InstalledRows;
  readonly dependencies: DependencyRows;
  readonly upgrades: UpgradeRows;
  readonly egress: EgressRows;
  readonly variables: VariableRows;
  readonly credentials: CredentialRows;
  readonly permissions: PermissionRows;
  readonly endpoints: EndpointRows;
  readonly debug: DebugRows;
  // the work on it
  readonly tasks: TaskRows;
  readonly leases: LeaseRows;
  readonly processes: ProcessRows;
  readonly disk: DiskRows;
  // what runs
  readonly images: ImageRows;
  readonly importedImages: ImportedImageRows;
  readonly pools: PoolRows;
  readonly runtimes: RuntimeRows;
  // who asks
  readonly tenants: TenantRows;
  readonly storageSizes: StorageSizes;
  readonly keys: KeyRows;
  readonly events: EventRows;
  // the tables of dify-plugin-daemon
  readonly platform: PlatformRows;
  readonly platformTasks: PlatformTaskRows;
  readonly takeover: TakeoverRows;
  /** Resolves when the database answers. */
  ping(): Promise<void>;
}
