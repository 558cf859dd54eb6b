/**
 * All installations in memory, so that a warm call needs neither database nor Redis. It polls; `refresh` updates it at
 * once. An installation keeps its call limiter while it exists, whatever else of it changes.
 */
import type { TenantId } from "../domain/ids.ts";
import type { Installation } from "../domain/installation.ts";
import { type CallsQuota, quotasInForce, type TenantQuotas } from "../domain/tenant-quotas.ts";
import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import type { Queue } from "../queue/queue.ts";
import type { Store } from "../store/store.ts";
import { type Clock, poll } from "../util/clock.ts";
import { Refresh } from "../util/refresh.ts";
import { type CallLimit, CallLimiter } from "./call-limiter.ts";
import { emptyCatalog, type PluginCatalog, readCatalog } from "./plugin-catalog.ts";

/** A topic of the queue: an installation has changed. The message is its id. */
export const INSTALLATIONS_TOPIC = "installations";

/** One installation as the warm path sees it. */
export interface InstalledPlugin {
  readonly installation: Installation;
  readonly catalog: PluginCatalog;
  readonly limiter: CallLimiter;
}

/**
 * All installations that this process knows. Lookups need no I/O; while the store is unavailable they use the last
 * known state.
 */
export interface InstallationDirectory extends AsyncDisposable {
  find(tenantId: TenantId, pluginId: string): InstalledPlugin | undefined;
  listOfTenant(tenantId: TenantId): readonly InstalledPlugin[];
  /** For all of its plugins together; undefined: no quota. */
  callsQuotaOf(tenantId: TenantId): CallsQuota | undefined;
  /** Whether the tenant has a disk quota. */
  boundsDisk(tenantId: TenantId): boolean;
  /** Resolves when everything that the store had at the time of the call is known here. Throws `store_unavailable`. */
  refresh(): Promise<void>;
  /** Calls back after each read that has brought changes; the returned function unsubscribes. */
  onChange(listener: () => void): () => void;
}

/** How many processes answer calls now, this one included: each admits its share of an installation's calls. */
export interface Sharers {
  readonly apis: number;
  onChange(listener: () => void): () => void;
}

export interface InstallationDirectoryOptions {
  readonly store: Pick<Store, "installations" | "packages"> & {
    readonly tenants: Pick<Store["tenants"], "listQuotas" | "defaultQuotas">;
  };
  readonly clock: Clock;
  readonly log: Log;
  readonly sharers: Sharers;
  /** Publishes changes, so that they are read before the next poll. */
  readonly pubSub: Pick<Queue, "subscribe">;
  readonly settings: { readonly directoryPollMs: number; readonly queueMax: number };
}

/** Resolves after the first read. */
export async function openInstallationDirectory(
  options: InstallationDirectoryOptions,
): Promise<InstallationDirectory> {
  const directory = new PolledInstallationDirectory(options);
  await directory.listen();
  await directory.refresh();
  directory.poll();
  return directory;
}

class PolledInstallationDirectory implements InstallationDirectory {
  readonly #options: InstallationDirectoryOptions;
  readonly #byPlugin = new Map<string, InstalledPlugin>();
  readonly #keyById = new Map<string, string>();
  readonly #catalogs = new Map<string, PluginCatalog>();
  readonly #stop = new AbortController();
  #polling: Promise<void> = Promise.resolve();
  readonly #reads = new Refresh(() => this.#read());
  readonly #changes = new Set<() => void>();
  readonly #unlisten: () => void;
  #listening: AsyncDisposable | undefined;
  #since: Date | undefined;
  /** Only tenants with quotas of their own. */
  #quotas: ReadonlyMap<TenantId, TenantQuotas> = new Map();

  constructor(options: InstallationDirectoryOptions) {
    this.#options = options;
    this.#unlisten = options.sharers.onChange(() => this.#share());
  }

  find(tenantId: TenantId, pluginId: string): InstalledPlugin | undefined {
    return this.#byPlugin.get(`${tenantId} ${pluginId}`);
  }

  listOfTenant(tenantId: TenantId): readonly InstalledPlugin[] {
    return [...this.#byPlugin.values()].filter(({ installation }) => installation.tenantId === tenantId);
  }

  callsQuotaOf(tenantId: TenantId): CallsQuota | undefined {
    const { callsMax } = this.#quotasOf(tenantId);
    return callsMax === undefined ? undefined : { callsMax, processes: this.#options.sharers.apis };
  }

  boundsDisk(tenantId: TenantId): boolean {
    return this.#quotasOf(tenantId).diskBytesMax !== undefined;
  }

  #quotasOf(tenantId: TenantId): TenantQuotas {
    const { defaultQuotas } = this.#options.store.tenants;
    const own = this.#quotas.get(tenantId);
    return own === undefined ? defaultQuotas : quotasInForce(own, defaultQuotas);
  }

  refresh(): Promise<void> {
    return this.#reads.run();
  }

  onChange(listener: () => void): () => void {
    this.#changes.add(listener);
    return () => this.#changes.delete(listener);
  }

  async listen(): Promise<void> {
    const refresh = () => void this.refresh().catch(() => undefined);
    this.#listening = await this.#options.pubSub.subscribe(INSTALLATIONS_TOPIC, refresh);
  }

  /** While the database is unavailable, the last known state stays in use: running plugins keep serving. */
  poll(): void {
    const { clock, log, settings } = this.#options;
    const outage = new Outage(log, "directory.refresh");
    const work = () => outage.run(() => this.refresh());
    this.#polling = poll({ clock, everyMs: settings.directoryPollMs }, work, this.#stop.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#unlisten();
    await this.#listening?.[Symbol.asyncDispose]();
    this.#stop.abort(new Error("closed"));
    await this.#polling;
    await this.#reads.settled();
  }

  async #read(): Promise<void> {
    const { store } = this.#options;
    const [{ items, removed, at }, quotas] = await Promise.all([
      store.installations.changedSince(this.#since),
      store.tenants.listQuotas(),
    ]);
    this.#quotas = quotas;
    for (const id of removed) this.#forget(id);
    for (const installation of items) await this.#learn(installation);
    this.#since = at;
    this.#dropUnusedCatalogs();
    if (items.length + removed.length > 0) for (const listener of [...this.#changes]) listener();
  }

  async #learn(installation: Installation): Promise<void> {
    // An installation taken over from a daemon has no package until its archive is read: it is listed but cannot serve
    // yet.
    const catalog = (await this.#catalogOf(installation.identifier)) ?? emptyCatalog(installation);
    const key = `${installation.tenantId} ${installation.pluginId}`;
    const known = this.#byPlugin.get(key);
    const limit = this.#limitOf(installation);
    const same = known?.installation.id === installation.id ? known : undefined;
    const limiter = same?.limiter ?? new CallLimiter({ limit, queueMax: this.#options.settings.queueMax });
    this.#byPlugin.set(key, { installation, catalog, limiter });
    this.#keyById.set(installation.id, key);
    if (same !== undefined) limiter.setLimit(limit);
  }

  #limitOf(installation: Installation): CallLimit {
    return { granted: installation.limitsGranted.concurrencyMax, processes: this.#options.sharers.apis };
  }

  #share(): void {
    for (const { installation, limiter } of this.#byPlugin.values())
      limiter.setLimit(this.#limitOf(installation));
  }

  async #catalogOf(identifier: string): Promise<PluginCatalog | undefined> {
    const known = this.#catalogs.get(identifier);
    if (known !== undefined) return known;
    const stored = await this.#options.store.packages.find(identifier);
    if (stored === undefined) return undefined;
    const catalog = readCatalog(stored);
    this.#catalogs.set(identifier, catalog);
    return catalog;
  }

  #forget(id: string): void {
    const key = this.#keyById.get(id);
    this.#keyById.delete(id);
    if (key !== undefined && this.#byPlugin.get(key)?.installation.id === id) this.#byPlugin.delete(key);
  }

  #dropUnusedCatalogs(): void {
    if (this.#catalogs.size <= this.#byPlugin.size) return;
    const used = new Set([...this.#byPlugin.values()].map(({ catalog }) => catalog.identifier));
    for (const identifier of this.#catalogs.keys())
      if (!used.has(identifier)) this.#catalogs.delete(identifier);
  }
}
