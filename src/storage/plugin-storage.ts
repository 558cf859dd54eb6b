/**
 * The key-value storage that a plugin has per Tenant: files in the storage, bounded by a quota, under the names that
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
/** Of a part between slashes: no file system takes more. */
const PART_BYTES_MAX = 255;

export interface HostStorageOptions {
  readonly place: StoragePlace;
  readonly log: Log;
  readonly settings: {
    /** The operator's ceiling; a manifest may ask for less. */
    readonly bytesMax: number;
    readonly keysMax: number;
    /** From this age on the lock of a writer that died is taken; a write takes far less. */
    readonly lockStaleMs: number;
  };
}

export interface StorageOwner {
  readonly tenantId: string;
  /** `author/name` */
  readonly pluginId: string;
  /** What the manifest asks for. */
  readonly bytesMax: number;
  /** Its Tenant has a quota of disk: what is to be kept is reserved before it is written. */
  readonly tenantIsBounded?: boolean;
}

/**
 * Answers one storage request with the object that the SDK reads. A value is there whole or not at all, and the quota
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
  /** Below the plugin's folder. */
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

  /** Writers of one plugin's storage, in whatever process, come one after the other. */
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
      // What cannot be counted is not kept where it counts.
      if (owner.tenantIsBounded) await this.#options.place.sizes.reserve({ tenantId, pluginId, bytes });
      await this.#tally.forget(owner);
      try {
        await this.#files.write(path, value);
      } catch (error) {
        if (owner.tenantIsBounded) await this.#tell(owner, usedBytes + (before ?? 0));
        throw error;
      }
      await this.#former(owner).remove(key.given);
      await this.#tally.keep(owner, { keys: others.keys + 1, bytes: others.bytes + value.length });
      if (!owner.tenantIsBounded) await this.#tell(owner, bytes);
    });
  }

  /** Of the values in their own layout. Lists them only where nobody has kept count. */
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

  /** A new key may not make a file of what is a folder, or the other way round. Throws `invalid_input`. */
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
      `The plugin's storage is full: ${usedBytes} of ${bytesMax} bytes and ${keys} of ${keysMax} keys are used by others, ${moreBytes} more were asked for.`,
      { details: { usedBytes, bytesMax, keys, keysMax, value: moreBytes } },
    );
  }

  /** A value of the former layout moves here; one whose key has no room here is read where it is. */
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
      await this.#tally.forget(owner);
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
      await this.#tally.forget(owner);
      const wasHere = await this.#files.remove(path);
      const wasThere = await this.#former(owner).remove(key.given);
      await this.#tally.keep(owner, rest);
      if (!wasHere && !wasThere) throw missing(key);
      await this.#tell(owner, rest.bytes + sum(await this.#former(owner).sizes(key.given)));
    });
  }

  /** The whole size is told with each write: one that fails spoils nothing. */
  async #tell({ tenantId, pluginId }: StorageOwner, bytes: number): Promise<void> {
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

/** `bytes`: of one value; undefined where there is none. */
function without({ keys, bytes: all }: Tally, bytes: number | undefined): Tally {
  return bytes === undefined ? { keys, bytes: all } : { keys: keys - 1, bytes: all - bytes };
}

function sum(sizes: readonly number[]): number {
  return sizes.reduce((total, size) => total + size, 0);
}

/** The daemon's rules: it tidies a key as a path first, so that `a//b` and `/a/b` are `a/b`. */
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
  return new Fault("not_found", `There is nothing under the key ${JSON.stringify(given)}.`);
}
