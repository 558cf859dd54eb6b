/**
 * Authentication: the keys and their scopes. Keys are stored as SHA-256, in memory too, so that no call needs the
 * database. The list is read every `keyPollMs`, so that a key revoked in any process is soon refused everywhere. Expiry
 * is known in advance and takes effect to the second.
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Actor } from "../domain/audit.ts";
import { Fault } from "../domain/fault.ts";
import type { TenantId } from "../domain/ids.ts";
import { SCOPES, type Scope } from "../domain/scope.ts";
import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import type { Page, PageRequest } from "../store/contracts/answers.ts";
import type { ApiKey } from "../store/contracts/keys.ts";
import type { Store } from "../store/store.ts";
import { type Clock, poll, repeat } from "../util/clock.ts";
import { Refresh } from "../util/refresh.ts";
import { checkAdminKey } from "./admin-key.ts";
import { KeyUses } from "./key-uses.ts";

/** On whose behalf a key acts. */
export interface Principal {
  /** Id of the key; `admin` for the admin key. */
  readonly keyId: string;
  readonly name: string;
  /** Undefined: the operator. */
  readonly tenantId: TenantId | undefined;
  readonly scopes: readonly Scope[];
  /** The admin key, which alone manages keys and removes tenants. */
  readonly isAdmin: boolean;
}

export interface NewKey {
  readonly name: string;
  readonly tenantId: TenantId | undefined;
  /** If absent: all. */
  readonly scopes?: readonly Scope[];
  /** If absent: never. Throws `invalid_input` for a time in the past. */
  readonly expiresAt?: Date;
  readonly by?: Actor;
}

/**
 * The keys of this instance. Reads use memory only; writes throw `store_unavailable` where the database cannot be
 * reached.
 */
export interface Keyring extends AsyncDisposable {
  /** The holder of a key; undefined for one that is unknown, revoked or expired. No I/O. */
  find(key: string): Principal | undefined;
  /** The returned `key` is shown this once and stored nowhere. */
  create(request: NewKey): Promise<{ record: ApiKey; key: string }>;
  /** Takes effect here when it resolves, in other processes after their next poll at the latest. Throws `not_found`. */
  revoke(id: string, by?: Actor): Promise<ApiKey>;
  /** With the last use as far as this process knows it. */
  list(filter: { tenantId?: TenantId }, page: PageRequest): Promise<Page<ApiKey>>;
  /**
   * Resolves when everything that the store had at the time of the call is in effect here; notifies other processes.
   */
  changed(): Promise<void>;
}

/** Notifies other processes of changes. Best effort: every process polls too. */
export interface KeyPubSub {
  publish(topic: string, message: string): Promise<void>;
  subscribe(topic: string, listener: (message: string) => void): Promise<AsyncDisposable>;
}

export interface KeyringOptions {
  readonly store: { readonly keys: Store["keys"] };
  readonly adminKey: string;
  readonly pubSub: KeyPubSub;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: {
    readonly keyPollMs: number;
    /** How often the last uses of keys are written, in one statement. */
    readonly useWriteMs: number;
  };
}

const TOPIC = "keys.changed";
/** The message for all three cases: a stranger does not learn which one it is. */
export const KEY_REFUSED = "The key is unknown, expired or revoked.";

interface Entry {
  readonly principal: Principal;
  readonly digest: Buffer;
  readonly expiresAtMs: number;
}

/** A new random key. */
export function newKey(): string {
  return `berth_${randomBytes(24).toString("base64url")}`;
}

/** Resolves when the keys are read. Throws `config_invalid` for an unacceptable admin key. */
export async function createKeyring(options: KeyringOptions): Promise<Keyring> {
  checkAdminKey(options.adminKey);
  const keyring = new StoredKeyring(options);
  await keyring.refresh();
  await keyring.start();
  return keyring;
}

class StoredKeyring implements Keyring {
  readonly #options: KeyringOptions;
  readonly #adminHash: Buffer;
  readonly #admin: Principal = {
    keyId: "admin",
    name: "admin",
    tenantId: undefined,
    scopes: SCOPES,
    isAdmin: true,
  };
  readonly #uses: KeyUses;
  readonly #stop = new AbortController();
  #entries: ReadonlyMap<string, Entry> = new Map();
  #polling: Promise<unknown> = Promise.resolve();
  #subscription: AsyncDisposable | undefined;
  readonly #reads = new Refresh(() => this.#read());
  /** Counts the keys revoked here: a list that was read before a revocation is not used after it. */
  #revocations = 0;

  constructor(options: KeyringOptions) {
    this.#options = options;
    this.#adminHash = hash("sha256", options.adminKey, "buffer");
    this.#uses = new KeyUses(options.store.keys);
  }

  find(key: string): Principal | undefined {
    const digest = hash("sha256", key, "buffer");
    if (timingSafeEqual(digest, this.#adminHash)) return this.#admin;
    // looked up by digest, so that the time taken reveals nothing about a key; whole digests are compared
    const entry = this.#entries.get(digest.toString("hex"));
    if (entry === undefined || !timingSafeEqual(digest, entry.digest)) return undefined;
    const now = this.#options.clock.now();
    if (now >= entry.expiresAtMs) return undefined;
    this.#uses.note(entry.principal.keyId, now);
    return entry.principal;
  }

  async create({ name, tenantId, scopes, expiresAt, by }: NewKey) {
    const { clock, store } = this.#options;
    if (expiresAt !== undefined && expiresAt.getTime() <= clock.now()) {
      const accepted = "a time in the future, in the format of RFC 3339";
      throw new Fault("invalid_input", `expires_at has passed; accepted: ${accepted}.`, {
        details: { field: "expires_at", value: expiresAt.toISOString(), accepted },
      });
    }
    const key = newKey();
    const record = await store.keys.create({
      name,
      tenantId,
      hint: key.slice(0, 10),
      hash: hash("sha256", key, "hex"),
      ...(scopes !== undefined && { scopes }),
      ...(expiresAt !== undefined && { expiresAt }),
      ...(by !== undefined && { by }),
    });
    await this.changed();
    return { record, key };
  }

  async revoke(id: string, by?: Actor): Promise<ApiKey> {
    const record = await this.#options.store.keys.revoke(id, by);
    this.#revocations++;
    const left = new Map(this.#entries);
    left.delete(record.hash);
    this.#entries = left;
    await this.#publishChange();
    return record;
  }

  async list(filter: { tenantId?: TenantId }, request: PageRequest): Promise<Page<ApiKey>> {
    const { items, nextCursor } = await this.#options.store.keys.page(filter, request);
    return { items: items.map((key) => this.#uses.addTo(key)), nextCursor };
  }

  async changed(): Promise<void> {
    await Promise.all([this.refresh(), this.#publishChange()]);
  }

  refresh(): Promise<void> {
    return this.#reads.run();
  }

  /** While the database is unavailable, known keys stay valid: calls to running plugins continue. */
  async start(): Promise<void> {
    const { clock, log, pubSub, settings } = this.#options;
    const { signal } = this.#stop;
    const reads = new Outage(log, "keyring.refresh");
    const read = () => reads.run(() => this.refresh());
    const writes = new Outage(log, "keyring.note_use");
    const write = () => writes.run(() => this.#uses.write());
    this.#polling = Promise.all([
      poll({ clock, everyMs: settings.keyPollMs }, read, signal),
      repeat({ clock, everyMs: settings.useWriteMs }, write, signal),
    ]);
    const onPublished = () => {
      read().catch((error: unknown) => log.error({ op: "keyring.refresh", ok: false, err: error }));
    };
    this.#subscription = await pubSub.subscribe(TOPIC, onPublished).catch(() => undefined);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Fault("shutting_down", "The keyring is closed."));
    await this.#subscription?.[Symbol.asyncDispose]();
    await this.#polling;
    await this.#reads.settled();
    await this.#uses.write().catch(() => undefined);
  }

  async #read(): Promise<void> {
    const revocations = this.#revocations;
    const keys = await this.#options.store.keys.list();
    if (revocations !== this.#revocations) return await this.#read();
    this.#entries = new Map(keys.map((key) => [key.hash, toEntry(key)]));
  }

  async #publishChange(): Promise<void> {
    await this.#options.pubSub.publish(TOPIC, "").catch(() => undefined);
  }
}

function toEntry({ id, name, tenantId, scopes, hash: digest, expiresAt }: ApiKey): Entry {
  return {
    principal: { keyId: id, name, tenantId, scopes, isAdmin: false },
    digest: Buffer.from(digest, "hex"),
    expiresAtMs: expiresAt?.getTime() ?? Number.POSITIVE_INFINITY,
  };
}
