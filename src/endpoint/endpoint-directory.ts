/**
 * Endpoints by their address, for requests that come in under it. Rows are remembered for one poll period, sealed as they
 * are stored; a change made in this process counts at once, one made elsewhere when its news arrive, and after that period
 * at the latest. What is opened is kept nowhere: requests that come at the same moment share one opening.
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

/** A topic of the queue: an Endpoint has changed. The message is its hook id. */
const ENDPOINTS_TOPIC = "endpoints";

/** What stands behind an address. */
export interface FoundEndpoint {
  readonly endpoint: EndpointRecord;
  /** Its plugin, as far as this process knows; undefined where it is not installed. */
  readonly installed: InstalledPlugin | undefined;
  /** Throws `installation_not_found` where the plugin, or its Endpoints, are gone; else what SecretKeeper throws. */
  openSettings(signal: AbortSignal): Promise<JsonMap>;
}

export interface EndpointDirectory extends AsyncDisposable {
  /** Also one that is disabled, or whose plugin is not installed. Throws `store_unavailable` for one that is not known here. */
  find(hookId: string): Promise<FoundEndpoint | undefined>;
  /** What is known of it is read anew from now on, here; others are told. */
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
  /** Rows older than that are read anew. */
  readonly endpointPollMs: number;
  /** Rows that are remembered at most. */
  readonly endpointsMax: number;
  /** Addresses that are not known, looked up at once: strangers' guesses must not take all connections. */
  readonly lookupsMax: number;
  /** How long a request waits for a newer row where there is an older one. */
  readonly rereadTimeoutMs: number;
}

/** Resolves once it hears of changes. */
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
  /** The one that was used longest ago comes first. */
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

  /** An address that is nobody's is not remembered: it may be somebody's at any moment, and guesses are endless. */
  #keep(hookId: string, entry: Entry): void {
    const drop = () => {
      if (this.#entries.get(hookId) === entry) this.#entries.delete(hookId);
    };
    entry.reading.then((row) => row === undefined && drop(), drop);
  }

  /** While the database is away, what is known stays in use, as Installations do. */
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
      throw new Fault("installation_not_found", `No plugin of the tenant answers this endpoint.`);
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
