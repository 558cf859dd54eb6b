/**
 * Endpoints by hook id, for requests to hooks. Rows are cached for one poll period, encrypted as they are stored. A
 * change made in this process takes effect at once, one made elsewhere when its notice arrives, and after that period
 * at the latest. Decrypted settings are not cached, but requests that come at the same moment share one decryption.
 */

import { Fault, isFault } from "../domain/fault.ts";
import type { JsonMap } from "../domain/json.ts";
import type { InstallationDirectory, InstalledPlugin } from "../invocation/installation-directory.ts";
import type { Log } from "../observe/log.ts";
import type { Queue } from "../queue/queue.ts";
import type { EndpointRecord } from "../store/contracts/endpoints.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { Semaphore } from "../util/semaphore.ts";
import { waitOrAbort } from "../util/wait.ts";
import type { SecretKeeper } from "./secret-settings/secrets.ts";

/** A topic of the queue: an endpoint has changed. The message is its hook id. */
const ENDPOINTS_TOPIC = "endpoints";

/** The endpoint of a hook id. */
export interface FoundEndpoint {
  readonly endpoint: EndpointRecord;
  /** Its plugin, as far as this process knows; undefined where it is not installed. */
  readonly installed: InstalledPlugin | undefined;
  /** Throws `installation_not_found` where the plugin or its endpoints are gone; else what SecretKeeper throws. */
  openSettings(signal: AbortSignal): Promise<JsonMap>;
}

/**
 * Finds the endpoint of a hook id, from a bounded cache of rows. Disposing it aborts lookups and waits for decryptions.
 */
export interface EndpointDirectory extends AsyncDisposable {
  /**
   * Also returns a disabled endpoint, or one whose plugin is missing. Throws `store_unavailable` if it is not cached.
   */
  find(hookId: string): Promise<FoundEndpoint | undefined>;
  /** Drops what is cached of it, here and in other processes. */
  changed(hookId: string): void;
}

export interface EndpointDirectoryOptions {
  readonly store: Pick<Store, "endpoints">;
  readonly installations: Pick<InstallationDirectory, "find">;
  readonly secrets: Pick<SecretKeeper, "open">;
  readonly pubSub: Pick<Queue, "publish" | "subscribe">;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: EndpointDirectorySettings;
}

export interface EndpointDirectorySettings {
  /** Cached rows older than this are read again. */
  readonly endpointPollMs: number;
  /** Number of cached rows. */
  readonly endpointsMax: number;
  /** Lookups of unknown hook ids at the same time: guesses of strangers must not occupy all connections. */
  readonly lookupsMax: number;
  /** How long a request waits for a newer row where an older one is cached. */
  readonly rereadTimeoutMs: number;
}

/** Resolves once it is subscribed to changes. */
export async function openEndpointDirectory(options: EndpointDirectoryOptions): Promise<EndpointDirectory> {
  const directory = new CachedEndpointDirectory(options);
  await directory.listen();
  return directory;
}

interface Entry {
  readonly readAtMs: number;
  readonly reading: Promise<EndpointRecord | undefined>;
}

class CachedEndpointDirectory implements EndpointDirectory {
  readonly #options: EndpointDirectoryOptions;
  /** The least recently used comes first. */
  readonly #entries = new Map<string, Entry>();
  readonly #openings = new Map<string, Promise<JsonMap>>();
  readonly #lookups: Semaphore;
  readonly #stop = new AbortController();
  #listening: AsyncDisposable | undefined;

  constructor(options: EndpointDirectoryOptions) {
    this.#options = options;
    this.#lookups = new Semaphore(options.settings.lookupsMax);
  }

  async find(hookId: string): Promise<FoundEndpoint | undefined> {
    const endpoint = await this.#read(hookId);
    if (endpoint === undefined) return undefined;
    const installed = this.#options.installations.find(endpoint.tenantId, endpoint.pluginId);
    return { endpoint, installed, openSettings: (signal) => this.#open(endpoint, installed, signal) };
  }

  changed(hookId: string): void {
    this.#entries.delete(hookId);
    void this.#options.pubSub.publish(ENDPOINTS_TOPIC, hookId).catch(() => undefined);
  }

  async listen(): Promise<void> {
    const forget = (hookId: string) => void this.#entries.delete(hookId);
    this.#listening = await this.#options.pubSub.subscribe(ENDPOINTS_TOPIC, forget);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Fault("shutting_down", "Berth is stopping."));
    await this.#listening?.[Symbol.asyncDispose]();
    await Promise.allSettled([...this.#openings.values()]);
  }

  #read(hookId: string): Promise<EndpointRecord | undefined> {
    const { clock, settings } = this.#options;
    const known = this.#entries.get(hookId);
    const now = clock.now();
    if (known !== undefined) this.#entries.delete(hookId);
    const isFresh = known !== undefined && now - known.readAtMs < settings.endpointPollMs;
    const entry = isFresh ? known : { readAtMs: now, reading: this.#readRow(hookId, known?.reading) };
    this.#entries.set(hookId, entry);
    if (!isFresh) this.#keep(hookId, entry);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= settings.endpointsMax) break;
      this.#entries.delete(oldest);
    }
    return entry.reading;
  }

  /** An unknown hook id is not cached: it may exist at any moment, and guesses are endless. */
  #keep(hookId: string, entry: Entry): void {
    const drop = () => {
      if (this.#entries.get(hookId) === entry) this.#entries.delete(hookId);
    };
    entry.reading.then((row) => row === undefined && drop(), drop);
  }

  /** While the database is unavailable, cached rows stay in use, as installations do. */
  async #readRow(
    hookId: string,
    before: Promise<EndpointRecord | undefined> | undefined,
  ): Promise<EndpointRecord | undefined> {
    const { store, clock, settings } = this.#options;
    const row = before === undefined ? undefined : await before.catch(() => undefined);
    if (row === undefined)
      return await this.#lookups.run(() => store.endpoints.findByHook(hookId), this.#stop.signal);
    using deadline = new Deadline({ clock, ms: settings.rereadTimeoutMs });
    try {
      return await waitOrAbort(store.endpoints.findByHook(hookId), deadline.signal);
    } catch (error) {
      if (deadline.isOver || isFault(error, "store_unavailable")) return row;
      throw error;
    }
  }

  async #open(
    endpoint: EndpointRecord,
    installed: InstalledPlugin | undefined,
    signal: AbortSignal,
  ): Promise<JsonMap> {
    const offer = installed?.catalog.endpoint;
    if (installed === undefined || offer === undefined)
      throw new Fault("installation_not_found", `No installed plugin of the tenant serves this endpoint.`);
    const key = `${endpoint.id} ${installed.catalog.identifier} ${endpoint.revision}`;
    const opening =
      this.#openings.get(key) ??
      this.#options.secrets
        .open(
          {
            ...{ tenantId: endpoint.tenantId, endpointId: endpoint.id, userId: "" },
            ...{ fields: offer.fields, declared: offer.settings },
          },
          endpoint.settings,
          this.#stop.signal,
        )
        .finally(() => this.#openings.delete(key));
    this.#openings.set(key, opening);
    return await waitOrAbort(opening, signal);
  }
}
