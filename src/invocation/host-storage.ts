/** The key-value storage that a plugin has per Tenant: files on the data volume, bounded by a quota. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Fault, invalidInput } from "../domain/fault.ts";
import { errorCode } from "../util/error-code.ts";
import { withFileLock } from "../util/file-lock.ts";
import { KeyedLock } from "../util/keyed-lock.ts";

/** Writers of one plugin's storage, in whatever process, come one after the other: each is a few files' work. */
const LOCK = { staleMs: 10_000, lookMs: 10 };

export interface HostStorageSettings {
  readonly folder: string;
  /** The operator's ceiling; a manifest may ask for less. */
  readonly bytesMax: number;
  readonly keysMax: number;
}

export interface StorageOwner {
  readonly tenantId: string;
  /** `author/name` */
  readonly pluginId: string;
  /** What the manifest asks for. */
  readonly bytesMax: number;
}

/**
 * Answers one storage request with the object that the SDK reads. A value is there whole or not at all, and the quota
 * is checked before anything is written. Throws `invalid_input`, `not_found`, `storage_quota`.
 */
export interface HostStorage {
  serve(owner: StorageOwner, request: Readonly<Record<string, unknown>>): Promise<object>;
}

export function createHostStorage(settings: HostStorageSettings): HostStorage {
  const locks = new KeyedLock<string>();
  return {
    serve(owner, request) {
      const folder = join(settings.folder, owner.tenantId, ...owner.pluginId.split("/"));
      return locks.run(folder, () => serve(settings, folder, owner, request));
    },
  };
}

async function serve(
  settings: HostStorageSettings,
  folder: string,
  owner: StorageOwner,
  request: Readonly<Record<string, unknown>>,
): Promise<object> {
  const key = checkKey(request["key"]);
  // a key may be longer than a file name and hold slashes; its hash is neither
  const file = join(folder, createHash("sha256").update(key).digest("hex"));
  switch (request["opt"]) {
    case "set": {
      const value = checkValue(request["value"]);
      await mkdir(folder, { recursive: true });
      await withFileLock(`${folder}.lock`, LOCK, () => write(settings, { folder, file, owner }, value));
      return { data: "ok" };
    }
    case "get":
      return { data: (await readFile(file).catch(missing(key))).toString("hex") };
    case "del":
      await rm(file).catch(missing(key));
      return { data: "ok", deleted_num: 1 };
    case "exist": {
      const exists = await stat(file).then(Boolean, () => false);
      return { data: exists, exist_num: exists ? 1 : 0 };
    }
    default:
      throw invalidInput("opt", request["opt"], "set, get, del, exist");
  }
}

async function write(
  settings: HostStorageSettings,
  { folder, file, owner }: { folder: string; file: string; owner: StorageOwner },
  value: Buffer,
): Promise<void> {
  const names = await readdir(folder);
  // What has a dot in its name was left half written by a process that died.
  await Promise.all(names.filter(isPartial).map((name) => rm(join(folder, name), { force: true })));
  const others = names.filter((name) => !isPartial(name) && join(folder, name) !== file);
  const sizes = await Promise.all(others.map((name) => sizeOf(join(folder, name))));
  const usedBytes = sizes.reduce((sum, size) => sum + size, 0);
  const bytesMax = Math.min(owner.bytesMax, settings.bytesMax);
  if (usedBytes + value.length > bytesMax || sizes.length >= settings.keysMax) {
    throw new Fault(
      "storage_quota",
      `The plugin's storage is full: ${usedBytes} of ${bytesMax} bytes and ${sizes.length} of ${settings.keysMax} keys are used by others, ${value.length} more were asked for.`,
      {
        details: { usedBytes, bytesMax, keys: sizes.length, keysMax: settings.keysMax, value: value.length },
      },
    );
  }
  const temporary = `${file}.${randomUUID()}`;
  try {
    const handle = await open(temporary, "wx", 0o600);
    try {
      await handle.writeFile(value);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

function isPartial(name: string): boolean {
  return name.includes(".");
}

/** Another process may take a value away at any time. */
async function sizeOf(path: string): Promise<number> {
  return (await stat(path).catch(() => undefined))?.size ?? 0;
}

function checkKey(key: unknown): string {
  const isFine =
    typeof key === "string" &&
    key !== "" &&
    Buffer.byteLength(key) <= 256 &&
    !/\.\.|\/\/|\\|\0|^\//.test(key);
  if (!isFine) throw invalidInput("key", key, "1 to 256 bytes without `..`, `//`, `\\` or a leading `/`");
  return key;
}

function checkValue(value: unknown): Buffer {
  if (typeof value !== "string" || value.length % 2 === 1 || /[^0-9a-fA-F]/.test(value)) {
    throw invalidInput("value", typeof value, "bytes as pairs of hex digits");
  }
  return Buffer.from(value, "hex");
}

function missing(key: string): (error: unknown) => never {
  return (error) => {
    if (errorCode(error) === "ENOENT") {
      throw new Fault("not_found", `There is nothing under the key ${JSON.stringify(key)}.`);
    }
    throw error;
  };
}
