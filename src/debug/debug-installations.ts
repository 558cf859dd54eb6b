/**
 * The installations of plugins that their authors run: what a plugin has registered becomes a package, an installation
 * and a runtime, and all of them go with the connection.
 */
import { createHash } from "node:crypto";
import { toFault } from "../domain/fault.ts";
import type { InstallationId, RuntimeId, TenantId } from "../domain/ids.ts";
import { grantLimits, type LimitsPolicy } from "../domain/limits.ts";
import { ARCHIVE_LEASE, withArchive } from "../installation/packages/archive-lease.ts";
import type { PackageKeeper } from "../installation/packages/package-keeper.ts";
import { INSTALLATIONS_TOPIC } from "../invocation/installation-directory.ts";
import type { Log } from "../observe/log.ts";
import { writeArchive } from "../packages/archive/write-archive.ts";
import type { PackageReader } from "../packages/package-reader.ts";
import type { PackageStore } from "../packages/package-store.ts";
import { newRuntimeId } from "../runtime/launch/profile.ts";
import type { RuntimeFolders } from "../runtime/launch/runtime-folders.ts";
import { type Announcer, announce, TOPICS } from "../runtime/reach/announce.ts";
import type { DebugDisconnected } from "../store/contracts/debug.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import { packageOf } from "./registration/package-of.ts";
import type { Registered } from "./registration/registration.ts";

export interface DebugInstallation {
  readonly runtimeId: RuntimeId;
  readonly installationId: InstallationId;
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly identifier: string;
  readonly poolKey: string;
  /** Of the runtime: processes make their sockets in it. */
  readonly folder: string;
}

/** What whoever adds a plugin has to say. */
export interface Adding {
  /** May throw the reason to refuse the plugin that was read. */
  accepts(pluginId: string): void;
  /** A connection of the same plugin has lost its rows to this one. */
  onReplaced(runtimeId: RuntimeId): void;
}

export interface DebugInstallationsDeps {
  readonly store: Pick<Store, "debug" | "packages" | "leases">;
  readonly packages: PackageStore;
  readonly reader: Pick<PackageReader, "read">;
  readonly keeper: PackageKeeper;
  readonly folders: RuntimeFolders;
  readonly queue: Announcer;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: LimitsPolicy;
  readonly processId: string;
}

/** Removing an archive must not keep a process from ending. */
const REMOVE_MS = 10_000;

export class DebugInstallations {
  readonly #deps: DebugInstallationsDeps;
  /** Runtimes whose connections are open, or about to be. */
  readonly #open = new Set<RuntimeId>();

  constructor(deps: DebugInstallationsDeps) {
    this.#deps = deps;
  }

  /** Whether a connection has, or is about to have, this runtime: rows of any other are left over. */
  isOpen(runtimeId: RuntimeId): boolean {
    return this.#open.has(runtimeId);
  }

  /**
   * Resolves when the plugin is installed for the tenant. Throws what `accepts` throws, what reading an uploaded package
   * throws, `conflict` where the tenant has the plugin installed from a package, and `quota_exceeded`.
   */
  async add(
    { tenantId, registered }: { readonly tenantId: TenantId; readonly registered: Registered },
    adding: Adding,
    signal: AbortSignal,
  ): Promise<DebugInstallation> {
    const { packages, reader, keeper, store, folders, limits, clock, processId } = this.#deps;
    await using staged = await packages.stage();
    await writeArchive(staged.path, packageOf(registered, tenantId));
    const pkg = await reader.read(staged.path, new Date(clock.now()), signal);
    const { pluginId, identifier } = pkg;
    adding.accepts(pluginId);
    const runtimeId = newRuntimeId();
    this.#open.add(runtimeId);
    const poolKey = debugPoolKey(tenantId, pluginId);
    // Other processes open their sockets in it as soon as they see the row.
    try {
      const folder = await folders.create(runtimeId);
      const connect = () =>
        store.debug.connect({
          tenantId,
          pkg,
          runtimeId,
          poolKey,
          processId,
          limits: grantLimits(pkg.limitsAsked, limits).limits,
        });
      signal.throwIfAborted();
      const { installationId, replaced } = await keeper.keep([{ staged, identifier }], connect);
      if (replaced !== undefined) {
        adding.onReplaced(replaced.runtimeId);
        await this.#clean(replaced, identifier);
      }
      await this.#announce(poolKey, installationId);
      return { runtimeId, installationId, tenantId, pluginId, identifier, poolKey, folder };
    } catch (error) {
      this.#open.delete(runtimeId);
      await folders.remove(runtimeId);
      throw error;
    }
  }

  /** Removes what `add` made, if it is still there. Throws `store_unavailable`: then it is there, and a later pass tries again. */
  async remove(runtimeId: RuntimeId): Promise<void> {
    const { store, folders } = this.#deps;
    this.#open.delete(runtimeId);
    const gone = await store.debug.disconnect(runtimeId, { reason: "disconnected" });
    await folders.remove(runtimeId);
    if (gone === undefined) return;
    await this.#announce(gone.poolKey, gone.installationId);
    await this.#clean(gone, undefined);
  }

  async #announce(poolKey: string, installationId: InstallationId): Promise<void> {
    const { queue } = this.#deps;
    await announce(queue, TOPICS.changed, poolKey);
    queue.publish(INSTALLATIONS_TOPIC, installationId).catch(() => undefined);
  }

  /** Where the archive cannot be removed, the care of the disk removes it later: it has no row. */
  async #clean({ runtimeId, unused }: DebugDisconnected, kept: string | undefined): Promise<void> {
    const { packages, store, folders, log } = this.#deps;
    await folders.remove(runtimeId);
    if (unused === undefined || unused === kept) return;
    const removeUnknown = async () => {
      if ((await store.packages.find(unused)) === undefined) await packages.remove(unused);
    };
    await withArchive(
      { ...this.#deps, ...ARCHIVE_LEASE },
      unused,
      removeUnknown,
      AbortSignal.timeout(REMOVE_MS),
    ).catch((error: unknown) =>
      log.warn({ op: "debug.clean", ok: false, identifier: unused, err: toFault(error) }),
    );
  }
}

/** The same for every connection of a plugin, so that its log goes on. 16 hex digits, as the keys of pools. */
function debugPoolKey(tenantId: TenantId, pluginId: string): string {
  return createHash("sha256").update(`debug\n${tenantId}\n${pluginId}`).digest("hex").slice(0, 16);
}
