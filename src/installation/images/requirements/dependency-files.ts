/** The files of a package that name its dependencies, as people write them. */
import { posix } from "node:path";
import { Fault } from "../../../domain/fault.ts";

/** A package's files by path, as uploaded. Paths are relative to the package's root. */
export interface DependencyFiles {
  readonly paths: readonly string[];
  read(path: string): Promise<Buffer>;
}

/** Where a line is written, for errors and warnings. */
export interface Origin {
  readonly file: string;
  /** From 1; undefined in a file that is not read by line. */
  readonly line: number | undefined;
}

/** One requirement as the installer reads it, with its markers and hashes. */
export interface Requirement {
  readonly text: string;
  readonly origin: Origin;
}

export function formatOrigin({ file, line }: Origin): string {
  return line === undefined ? file : `${file} line ${line}`;
}

/** The same as fields of a Fault's details. */
export function placeOf({ file, line }: Origin): { readonly field: string; readonly line?: number } {
  return { field: file, ...(line === undefined ? {} : { line }) };
}

/** The Fault of something that a file of the package says; `details` has the file, the line and what is accepted. */
export function fileFault(origin: Origin, said: string, value: string, accepted: string): Fault {
  return new Fault("dependency_unresolvable", `${formatOrigin(origin)}: ${said} Accepted: ${accepted}.`, {
    details: { ...placeOf(origin), value: cut(value), accepted },
  });
}

/**
 * The path of a package's file or folder as a line names it: looked up below the folder of the file with the line, then
 * below the package's root. Throws where it leads out of the package, or where the package has nothing there.
 */
export function pathInPackage(files: DependencyFiles, written: string, origin: Origin): string {
  const plain = written
    .replace(/^file:(?:\/\/(?=[.$]))?/, "")
    .replace(/^\/?\$\{(?:PROJECT_ROOT|PWD)\}\//, "./")
    .replace(/\/+$/, "");
  const candidates = [posix.dirname(origin.file), "."].map((base) => posix.join(base, plain));
  const inside = candidates.filter((path) => path !== ".." && !path.startsWith("../"));
  if (plain.startsWith("/") || inside.length === 0) {
    throw fileFault(origin, `"${cut(written)}" is outside the package.`, written, ACCEPTED_PATH);
  }
  const found = inside.find((path) => isFile(files, path) || isFolder(files, path));
  if (found !== undefined) return found;
  throw fileFault(origin, `The package has no file or folder "${cut(written)}".`, written, ACCEPTED_PATH);
}

const ACCEPTED_PATH = "a path below the package's folder";

export function isFile({ paths }: DependencyFiles, path: string): boolean {
  return paths.includes(path);
}

export function isFolder({ paths }: DependencyFiles, path: string): boolean {
  return path === "." || paths.some((file) => file.startsWith(`${path}/`));
}

/** Reads a file as text. Throws where its bytes are in none of the accepted encodings. */
export async function readText(files: DependencyFiles, path: string): Promise<string> {
  const bytes = await files.read(path);
  try {
    return decode(bytes);
  } catch {
    const said = "The file is not text in an encoding that is read.";
    throw fileFault({ file: path, line: undefined }, said, bytes.subarray(0, 16).toString("hex"), ENCODINGS);
  }
}

const ENCODINGS = "UTF-8, or UTF-8, UTF-16 or UTF-32 that begins with a byte-order mark";

function decode(bytes: Buffer): string {
  const starts = (...mark: number[]) => mark.every((byte, at) => bytes[at] === byte);
  // Before UTF-16: the mark of UTF-32 in little-endian order begins with that of UTF-16.
  if (starts(0xff, 0xfe, 0, 0)) return decodeUtf32(bytes.subarray(4), (at) => bytes.readUInt32LE(at + 4));
  if (starts(0, 0, 0xfe, 0xff)) return decodeUtf32(bytes.subarray(4), (at) => bytes.readUInt32BE(at + 4));
  const encoding = starts(0xff, 0xfe) ? "utf-16le" : starts(0xfe, 0xff) ? "utf-16be" : "utf-8";
  return new TextDecoder(encoding, { fatal: true }).decode(bytes);
}

function decodeUtf32({ length }: Buffer, at: (offset: number) => number): string {
  if (length % 4 !== 0) throw new RangeError("UTF-32 has four bytes for each character");
  const parts: string[] = [];
  for (let offset = 0; offset < length; offset += 4) parts.push(String.fromCodePoint(at(offset)));
  return parts.join("");
}

export function cut(text: string): string {
  return text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
