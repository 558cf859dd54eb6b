import { constants } from "node:fs";
import { Readable } from "node:stream";
import { crc32 } from "node:zlib";
import { type Entry, openPromise, type ZipFile } from "yauzl";
import { Fault, isFault } from "../../domain/fault.ts";
import { checkPathsDistinct, parseArchivePath, unsafe } from "./archive-path.ts";

export interface ArchiveLimits {
  readonly entriesMax: number;
  /** Size of one entry, uncompressed. */
  readonly entryBytesMax: number;
  /** Size of all entries together, uncompressed. */
  readonly uncompressedBytesMax: number;
}

export interface ArchiveEntry {
  readonly path: string;
  /** Uncompressed. */
  readonly bytes: number;
}

/** The files of a package by path. */
export interface PackageFiles {
  /** In the archive's order. */
  readonly paths: readonly string[];
  has(path: string): boolean;
  /** Uncompressed size, as in the archive's directory. */
  bytesOf(path: string): number;
  /** Reads the whole file into memory. Throws `manifest_invalid` above `bytesMax`, `package_unsafe` where it is damaged. */
  read(path: string, bytesMax: number): Promise<Buffer>;
  stream(path: string): Readable;
}

export interface Archive extends PackageFiles, AsyncDisposable {
  readonly entries: readonly ArchiveEntry[];
  /** The archive's comment; empty where there is none. */
  readonly comment: Buffer;
}

const STORED = 0;
const DEFLATED = 8;
const LOCAL_HEADER_BYTES = 30;
const UNIX = 3;

/**
 * Opens an archive on disk and checks its central directory, which alone counts. Contents are inflated only when they are
 * read, entry by entry, and never beyond the size that the directory claims.
 * Throws `package_not_zip`, `package_unsafe`, `package_too_large`.
 */
export async function openArchive(file: string, limits: ArchiveLimits): Promise<Archive> {
  const zip = await openZip(file);
  try {
    const entries = await readDirectory(zip, limits);
    return new ZipArchive(zip, entries);
  } catch (failure) {
    zip.close();
    throw asFault(failure);
  }
}

class ZipArchive implements Archive {
  readonly entries: readonly ArchiveEntry[];
  readonly paths: readonly string[];
  readonly comment: Buffer;
  readonly #zip: ZipFile;
  readonly #byPath: ReadonlyMap<string, Entry>;

  constructor(zip: ZipFile, byPath: ReadonlyMap<string, Entry>) {
    this.#zip = zip;
    this.#byPath = byPath;
    this.entries = [...byPath].map(([path, entry]) => ({ path, bytes: entry.uncompressedSize }));
    this.paths = [...byPath.keys()];
    this.comment = Buffer.from(zip.comment);
  }

  has(path: string): boolean {
    return this.#byPath.has(path);
  }

  bytesOf(path: string): number {
    return this.#entry(path).uncompressedSize;
  }

  async read(path: string, bytesMax: number): Promise<Buffer> {
    const { uncompressedSize } = this.#entry(path);
    if (uncompressedSize > bytesMax) throw fileTooLarge(path, uncompressedSize, bytesMax);
    const chunks: Buffer[] = [];
    for await (const chunk of this.stream(path)) chunks.push(chunk);
    return Buffer.concat(chunks);
  }

  stream(path: string): Readable {
    return Readable.from(inflate(this.#zip, this.#entry(path), path), { objectMode: false });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#zip.close();
  }

  #entry(path: string): Entry {
    const entry = this.#byPath.get(path);
    if (entry === undefined) throw new Fault("internal", `The archive has no entry ${JSON.stringify(path)}.`);
    return entry;
  }
}

export function fileTooLarge(path: string, bytes: number, bytesMax: number): Fault {
  return new Fault("manifest_invalid", `${path} has ${bytes} bytes; accepted: at most ${bytesMax}.`, {
    details: { file: path, field: "bytes", value: bytes, accepted: bytesMax },
  });
}

/** Counts while inflating: the directory's size is an attacker's claim, and the inflater alone would not stop there. */
async function* inflate(zip: ZipFile, entry: Entry, path: string): AsyncGenerator<Buffer> {
  let bytes = 0;
  let sum = 0;
  try {
    await checkLocalHeader(zip, entry, path);
    for await (const chunk of await zip.openReadStreamPromise(entry)) {
      const part: Buffer = chunk;
      bytes += part.length;
      if (bytes > entry.uncompressedSize) break;
      sum = crc32(part, sum);
      yield part;
    }
  } catch (failure) {
    throw isFault(failure) ? failure : unsafe(path, "contents that inflate to the size they claim", failure);
  }
  if (bytes !== entry.uncompressedSize) throw unsafe(path, `${entry.uncompressedSize} bytes, as it claims`);
  if (sum !== entry.crc32) throw unsafe(path, "contents that match their check sum");
}

/** Some readers go by local headers: where these differ from the directory, such readers would see another archive. */
async function checkLocalHeader(zip: ZipFile, entry: Entry, path: string): Promise<void> {
  const { fileName, compressionMethod } = await zip.readLocalFileHeaderPromise(entry);
  if (!fileName.equals(entry.fileNameRaw) || compressionMethod !== entry.compressionMethod)
    throw unsafe(path, "the same name and compression in the file's own header as in the directory");
}

async function openZip(file: string): Promise<ZipFile> {
  try {
    // Names stay bytes: a decoder that guesses code pages could turn one name into two.
    return await openPromise(file, { autoClose: false, decodeStrings: false, validateEntrySizes: true });
  } catch (failure) {
    throw asFault(failure);
  }
}

async function readDirectory(zip: ZipFile, limits: ArchiveLimits): Promise<ReadonlyMap<string, Entry>> {
  if (zip.entryCount > limits.entriesMax) {
    throw tooLarge("entries", zip.entryCount, limits.entriesMax);
  }
  const found: { path: string; entry: Entry }[] = [];
  let total = 0;
  for await (const entry of zip.eachEntry()) {
    const path = parseArchivePath(entry.fileNameRaw);
    checkEntry(path, entry);
    if (entry.uncompressedSize > limits.entryBytesMax) {
      throw tooLarge(path, entry.uncompressedSize, limits.entryBytesMax);
    }
    total += entry.uncompressedSize;
    if (total > limits.uncompressedBytesMax) {
      throw tooLarge("uncompressed bytes", total, limits.uncompressedBytesMax);
    }
    found.push({ path, entry });
  }
  checkPathsDistinct(found.map(({ path }) => path));
  checkApart(found);
  return new Map(found.map(({ path, entry }) => [path, entry]));
}

function checkEntry(path: string, entry: Entry): void {
  if (entry.isEncrypted()) throw unsafe(path, "entries that are not encrypted");
  if (entry.compressionMethod !== STORED && entry.compressionMethod !== DEFLATED) {
    throw unsafe(path, "compression method 0 (stored) or 8 (deflated)");
  }
  const mode =
    entry.versionMadeBy >>> 8 === UNIX ? (entry.externalFileAttributes >>> 16) & constants.S_IFMT : 0;
  if (mode !== 0 && mode !== constants.S_IFREG) throw unsafe(path, "plain files: no link, device or pipe");
}

/** Refuses entries that share bytes, with which a small archive can claim a huge content. */
function checkApart(found: readonly { path: string; entry: Entry }[]): void {
  const inOrder = found.toSorted(
    (a, b) => a.entry.relativeOffsetOfLocalHeader - b.entry.relativeOffsetOfLocalHeader,
  );
  let end = 0;
  for (const { path, entry } of inOrder) {
    if (entry.relativeOffsetOfLocalHeader < end) throw unsafe(path, "entries that do not overlap");
    end =
      entry.relativeOffsetOfLocalHeader +
      LOCAL_HEADER_BYTES +
      entry.fileNameRaw.length +
      entry.compressedSize;
  }
}

function tooLarge(field: string, value: number, accepted: number): Fault {
  return new Fault(
    "package_too_large",
    `The archive claims ${value} for ${field}; accepted: at most ${accepted}.`,
    {
      details: { field, value, accepted },
    },
  );
}

/** Errors of the zip reader, which have no code, mean a malformed archive; errors of the disk have a code. */
function asFault(failure: unknown): unknown {
  if (isFault(failure) || !(failure instanceof Error) || "code" in failure) return failure;
  return new Fault("package_not_zip", "The file is not a readable zip archive.", {
    details: { field: "file", value: failure.message, accepted: "a .difypkg: a zip archive" },
    cause: failure,
  });
}
