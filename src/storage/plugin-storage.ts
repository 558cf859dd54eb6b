/**
 * The key-value storage of a plugin for each tenant: files in the storage, bounded by a quota, under the names that
 * dify-plugin-daemon gives them.
 */
import { createHash } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join, posix } from "node:path";
import { Fault, invalidInput } from "../domain/fault.ts";
import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import { withFileLock } from "../util/file-lock.ts";
import { KeyedLock } from "../util/keyed-lock.ts";
import { FormerStorage, type StoragePlace } from "./storage-place.ts";
import { StorageTally, type Tally } from "./storage-tally.ts";

const KEY_BYTES_MAX = 256;
/** Bytes of a part between slashes: the limit of file systems. */
const PART_BYTES_MAX = 255;

export interface HostStorageOptions {
  readonly place: StoragePlace;
  readonly log: Log;
  readonly settings: {
    /** The operator's ceiling; a manifest may ask for less. */
    readonly bytesMax: number;
    readonly keysMax: number;
    /** Age at which the lock of a dead writer is taken over; a write takes far less. */
    readonly lockStaleMs: number;
  };
}

/** One plugin of one tenant, with its quota. */
export interface StorageOwner {
  readonly tenantId: string;
  /** `author/name` */
  readonly pluginId: string;
  /** What the manifest asks for. */
  readonly bytesMax: number;
  /** The tenant has a disk quota: bytes are reserved before they are written. */
  readonly tenantIsBounded?: boolean;
}

/**
 * Answers one storage request with the object that the SDK reads. A value is stored whole or not at all, and the quota
 * is checked before anything is written. Throws `invalid_input`, `not_found`, `storage_quota`, `quota_disk`, and
 * `package_store_unavailable` where the storage cannot be reached.
 */
export interface HostStorage {
  serve(owner: StorageOwner, request: Readonly<Record<string, unknown>>): Promise<object>;
}

export function createHostStorage(options: HostStorageOptions): HostStorage {
  return new PlacedStorage(options);
}

interface Key {
  /** As the plugin wrote it. */
  readonly given: string;
  /** Relative to the plugin's folder. */
  readonly path: string;
}

class PlacedStorage implements HostStorage {
  readonly #options: HostStorageOptions;
  readonly #locks = new KeyedLock<string>();
  readonly #counting: Outage;
  readonly #tally: StorageTally;

  constructor(options: HostStorageOptions) {
    this.#options = options;
    this.#tally = new StorageTally(options.place);
    this.#counting = new Outage(options.log, "plugin_storage.count");
  }

  async serve(owner: StorageOwner, request: Readonly<Record<string, unknown>>): Promise<object> {
    const key = checkKey(request["key"]);
    switch (request["opt"]) {
      case "set":
        await this.#set(owner, key, checkValue(request["value"]));
        return { data: "ok" };
      case "get": {
        const value = (await this.#files.read(this.#pathOf(owner, key))) ?? (await this.#adopt(owner, key));
        if (value === undefined) throw missing(key);
        return { data: value.toString("hex") };
      }
      case "del":
        await this.#remove(owner, key);
        return { data: "ok", deleted_num: 1 };
      case "exist": {
        const size = await this.#files.size(this.#pathOf(owner, key));
        const exists = size !== undefined || (await this.#former(owner).has(key.given));
        return { data: exists, exist_num: exists ? 1 : 0 };
      }
      default:
        throw invalidInput("opt", request["opt"], "set, get, del, exist");
    }
  }

  get #files() {
    return this.#options.place.files;
  }

  /** Writes to one plugin's storage run one after the other, across all processes. */
  async #inTurn<T>({ tenantId, pluginId }: StorageOwner, work: () => Promise<T>): Promise<T> {
    const { place, settings } = this.#options;
    const name = createHash("sha256").update(`${tenantId}/${pluginId}`).digest("hex");
    await mkdir(place.lockFolder, { recursive: true });
    const lock = { staleMs: settings.lockStaleMs, lookMs: 10 };
    return await this.#locks.run(name, () => withFileLock(join(place.lockFolder, name), lock, work));
  }

  async #set(owner: StorageOwner, key: Key, value: Buffer): Promise<void> {
    await this.#inTurn(owner, async () => {
      const path = this.#pathOf(owner, key);
      const before = await this.#files.size(path);
      if (before === undefined) await this.#refuseNested(owner, key);
      const others = without(await this.#count(owner), before);
      const former = await this.#former(owner).sizes(key.given);
      const usedBytes = others.bytes + sum(former);
      this.#checkQuota(owner, { keys: others.keys + former.length, usedBytes, moreBytes: value.length });
      const { tenantId, pluginId } = owner;
      const bytes = usedBytes + value.length;
      // Bytes that cannot be reserved are not written where a quota applies.
      if (owner.tenantIsBounded) await this.#options.place.sizes.reserve({ tenantId, pluginId, bytes });
      await this.#tally.clear(owner);
      try {
        await this.#files.write(path, value);
      } catch (error) {
        if (owner.tenantIsBounded) await this.#reportSize(owner, usedBytes + (before ?? 0));
        throw error;
      }
      await this.#former(owner).remove(key.given);
      await this.#tally.write(owner, { keys: others.keys + 1, bytes: others.bytes + value.length });
      if (!owner.tenantIsBounded) await this.#reportSize(owner, bytes);
    });
  }

  /** Counts the values in the current layout. Lists them only where there is no tally. */
  async #count(owner: StorageOwner): Promise<Tally> {
    const kept = await this.#tally.read(owner);
    if (kept !== undefined) return kept;
    const { signal } = new AbortController();
    const all = { keys: 0, bytes: 0 };
    for await (const { bytes } of this.#files.list(this.#folderOf(owner), signal)) {
      all.keys++;
      all.bytes += bytes;
    }
    return all;
  }

  /** A key must not turn a folder into a file, or a file into a folder. Throws `invalid_input`. */
  async #refuseNested(owner: StorageOwner, key: Key): Promise<void> {
    const refuse = (other: string) => {
      throw invalidInput("key", key.given, `a key beside ${JSON.stringify(other)}, not above or below it`);
    };
    const folder = this.#folderOf(owner);
    for (let end = key.path.indexOf("/"); end >= 0; end = key.path.indexOf("/", end + 1)) {
      const above = key.path.slice(0, end);
      if ((await this.#files.size(`${folder}/${above}`)) !== undefined) refuse(above);
    }
    const leaving = new AbortController();
    for await (const { path } of this.#files.list(`${folder}/${key.path}`, leaving.signal))
      refuse(`${key.path}/${path}`);
  }

  #checkQuota(
    owner: StorageOwner,
    { keys, usedBytes, moreBytes }: { keys: number; usedBytes: number; moreBytes: number },
  ): void {
    const { settings } = this.#options;
    const { keysMax } = settings;
    const bytesMax = Math.min(owner.bytesMax, settings.bytesMax);
    if (usedBytes + moreBytes <= bytesMax && keys < keysMax) return;
    throw new Fault(
      "storage_quota",
      `The plugin's storage is full: its other values use ${usedBytes} of ${bytesMax} bytes and ${keys} of ${keysMax} keys, and this one needs ${moreBytes} bytes.`,
      { details: { usedBytes, bytesMax, keys, keysMax, value: moreBytes } },
    );
  }

  /** Moves a value from the former layout; a value whose key does not fit the current layout is read in place. */
  async #adopt(owner: StorageOwner, key: Key): Promise<Buffer | undefined> {
    const former = this.#former(owner);
    if (!(await former.has(key.given))) return undefined;
    return await this.#inTurn(owner, async () => {
      const path = this.#pathOf(owner, key);
      const value = await former.read(key.given);
      if (value === undefined) return await this.#files.read(path);
      try {
        await this.#refuseNested(owner, key);
      } catch {
        return value;
      }
      await this.#tally.clear(owner);
      await this.#files.write(path, value);
      await former.remove(key.given);
      return value;
    });
  }

  async #remove(owner: StorageOwner, key: Key): Promise<void> {
    await this.#inTurn(owner, async () => {
      const path = this.#pathOf(owner, key);
      const before = await this.#files.size(path);
      const rest = without(await this.#count(owner), before);
      await this.#tally.clear(owner);
      const wasHere = await this.#files.remove(path);
      const wasThere = await this.#former(owner).remove(key.given);
      await this.#tally.write(owner, rest);
      if (!wasHere && !wasThere) throw missing(key);
      await this.#reportSize(owner, rest.bytes + sum(await this.#former(owner).sizes(key.given)));
    });
  }

  /** Reports the total size with each write, so that a lost report is corrected by the next one. */
  async #reportSize({ tenantId, pluginId }: StorageOwner, bytes: number): Promise<void> {
    await this.#counting.run(() => this.#options.place.sizes.set({ tenantId, pluginId, bytes }));
  }

  #former({ tenantId, pluginId }: StorageOwner): FormerStorage {
    return new FormerStorage(this.#options.place, tenantId, pluginId);
  }

  #folderOf({ tenantId, pluginId }: StorageOwner): string {
    return `${this.#options.place.folder}/${tenantId}/${pluginId}`;
  }

  #pathOf(owner: StorageOwner, key: Key): string {
    return `${this.#folderOf(owner)}/${key.path}`;
  }
}

/** `bytes`: size of one value; undefined where it does not exist. */
function without({ keys, bytes: all }: Tally, bytes: number | undefined): Tally {
  return bytes === undefined ? { keys, bytes: all } : { keys: keys - 1, bytes: all - bytes };
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

/** The daemon's rules: it normalises a key as a path first, so that `a//b` and `/a/b` are `a/b`. */
function checkKey(given: unknown): Key {
  if (typeof given !== "string") throw wrongKey(given);
  const path = posix.normalize(given).replace(/^\/+|\/+$/g, "");
  const isFine =
    path !== "" &&
    path !== "." &&
    Buffer.byteLength(given) <= KEY_BYTES_MAX &&
    !/\.\.|\\|\0/.test(path) &&
    path.split("/").every((part) => Buffer.byteLength(part) <= PART_BYTES_MAX);
  if (!isFine) throw wrongKey(given);
  return { given, path };
}

function wrongKey(given: unknown): Fault {
  return invalidInput("key", given, `a path of 1 to ${KEY_BYTES_MAX} bytes without \`..\` and \`\\\``);
}

function checkValue(value: unknown): Buffer {
  if (typeof value !== "string" || value.length % 2 === 1 || /[^0-9a-fA-F]/.test(value)) {
    throw invalidInput("value", typeof value, "bytes as pairs of hex digits");
  }
  return Buffer.from(value, "hex");
}

function missing({ given }: Key): Fault {
  return new Fault("not_found", `There is no value for the key ${JSON.stringify(given)}.`);
}
