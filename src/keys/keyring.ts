/**
 * Who may come in. Keys are kept as SHA-256, in memory too, so that no call asks the database; the list is read anew
 * each `keyPollMs`, so that a key revoked in any process is refused everywhere soon after.
 */
import { hash, randomBytes, timingSafeEqual } from "node:crypto";
import { Fault } from "../domain/fault.ts";
import type { TenantId } from "../domain/ids.ts";
import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import type { ApiKey, Store } from "../store/store.ts";
import { type Clock, repeat } from "../util/clock.ts";
import { checkAdminKey } from "./admin-key.ts";

/** Whom a key speaks for. */
export interface Principal {
  /** Id of the key; `admin` for the admin key. */
  readonly keyId: string;
  /** Undefined: the operator. */
  readonly tenantId: TenantId | undefined;
}

export interface Keyring extends AsyncDisposable {
  /** The holder of a key as text, or undefined. No I/O. */
  find(key: string): Principal | undefined;
  /** The answer's `key` is shown this once and kept nowhere. */
  create(request: { name: string; tenantId: TenantId | undefined }): Promise<{ record: ApiKey; key: string }>;
  /** In force here when it resolves, in other processes after their next poll. Throws `not_found`. */
  revoke(id: string): Promise<ApiKey>;
  list(): Promise<readonly ApiKey[]>;
}

export interface KeyringOptions {
  readonly store: { readonly keys: Store["keys"] };
  readonly adminKey: string;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: { readonly keyPollMs: number };
}

/** A new random key. */
export function newKey(): string {
  return `berth_${randomBytes(24).toString("base64url")}`;
}

/** Resolves with the keys read. Throws `config_invalid` for an admin key that is refused. */
export async function createKeyring(options: KeyringOptions): Promise<Keyring> {
  checkAdminKey(options.adminKey);
  const keyring = new StoredKeyring(options);
  await keyring.refresh();
  keyring.poll();
  return keyring;
}

class StoredKeyring implements Keyring {
  readonly #options: KeyringOptions;
  readonly #adminHash: Buffer;
  readonly #stop = new AbortController();
  #principals: ReadonlyMap<string, Principal> = new Map();
  #polling: Promise<void> = Promise.resolve();
  /** Grows with each change made here: what was read before such a change is not taken over after it. */
  #version = 0;

  constructor(options: KeyringOptions) {
    this.#options = options;
    this.#adminHash = hash("sha256", options.adminKey, "buffer");
  }

  find(key: string): Principal | undefined {
    const digest = hash("sha256", key, "buffer");
    if (timingSafeEqual(digest, this.#adminHash)) return { keyId: "admin", tenantId: undefined };
    // the look-up compares digests: how long it takes says nothing about a key
    return this.#principals.get(digest.toString("hex"));
  }

  async create({ name, tenantId }: { name: string; tenantId: TenantId | undefined }) {
    const key = newKey();
    const record = await this.#options.store.keys.create({
      name,
      tenantId,
      hint: key.slice(0, 10),
      hash: hash("sha256", key, "hex"),
    });
    await this.refresh();
    return { record, key };
  }

  async revoke(id: string): Promise<ApiKey> {
    const record = await this.#options.store.keys.revoke(id);
    this.#version++;
    const left = new Map(this.#principals);
    left.delete(record.hash);
    this.#principals = left;
    return record;
  }

  list(): Promise<readonly ApiKey[]> {
    return this.#options.store.keys.list();
  }

  async refresh(): Promise<void> {
    const version = ++this.#version;
    const keys = await this.#options.store.keys.list();
    if (version !== this.#version) return;
    this.#principals = new Map(
      keys
        .filter(({ revokedAt }) => revokedAt === undefined)
        .map(({ hash: digest, id, tenantId }) => [digest, { keyId: id, tenantId }]),
    );
  }

  /** While the database is away, keys that are known stay valid: calls to running plugins go on. */
  poll(): void {
    const { clock, log, settings } = this.#options;
    const outage = new Outage(log, "keyring.refresh");
    const work = () => outage.run(() => this.refresh());
    this.#polling = repeat({ clock, everyMs: settings.keyPollMs }, work, this.#stop.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Fault("shutting_down", "The keyring is closed."));
    await this.#polling;
  }
}
