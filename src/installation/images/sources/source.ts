/** One source that is built to a wheel: where it is, as a requirement or the index names it. */
import { type Address, isPath } from "../requirements/address.ts";
import { fileFault, type Origin } from "../requirements/dependency-files.ts";
import { INPUT_PATH } from "../requirements/input-files.ts";

export type SourcePlace =
  | { readonly kind: "index"; readonly name: string; readonly version: string }
  | { readonly kind: "archive"; readonly url: string }
  | { readonly kind: "git"; readonly url: string; readonly ref: string }
  | { readonly kind: "package"; readonly path: string };

export interface Source {
  /** As the package writes it, for messages. */
  readonly label: string;
  readonly place: SourcePlace;
  /** Folder of the project in the source; empty for its root. */
  readonly subdirectory: string;
  /** SHA-256 that the requirement allows; empty where it says nothing. */
  readonly hashes: readonly string[];
}

/** Throws `dependency_unresolvable` where the address is of no kind that can be fetched. */
export function sourceAt(address: Address, label: string, origin: Origin): Source {
  const [target = "", fragment = ""] = address.target.split("#", 2);
  const subdirectory = /(?:^|&)subdirectory=([^&]+)/.exec(fragment)?.[1] ?? "";
  const hashes = hashesIn(address.rest);
  if (subdirectory.split("/").includes("..")) {
    throw fileFault(
      origin,
      `"${subdirectory}" leads out of the source.`,
      subdirectory,
      "a folder of the source",
    );
  }
  return {
    label: withoutPassword(label),
    place: placeAt(address, target, fragment, origin),
    subdirectory,
    hashes,
  };
}

function placeAt(address: Address, target: string, fragment: string, origin: Origin): SourcePlace {
  if (isPath(address)) {
    const path = decodeURI(target.replace(/^file:\/\//, ""));
    return {
      kind: "package",
      path: path.startsWith("/") ? path : `${INPUT_PATH}/${path.replace(/^\.\//, "")}`,
    };
  }
  const git = /^git\+(https?:\/\/[^/]+\/[^@]*)(?:@([^@]+))?$/.exec(target);
  if (git !== null) return { kind: "git", url: git[1] ?? "", ref: git[2] ?? "" };
  if (/^https?:\/\//.test(target))
    return { kind: "archive", url: `${target}${fragment === "" ? "" : `#${fragment}`}` };
  const shown = withoutPassword(target);
  throw fileFault(
    origin,
    `"${shown}" has the scheme ${schemeOf(target)}, by which Berth fetches nothing.`,
    shown,
    "https://..., http://..., git+https://..., git+http://..., a path in the package",
  );
}

/** An address of a repository without a scheme is `user@host:path`, which git takes as SSH. */
function schemeOf(target: string): string {
  return /^([a-z][a-z0-9+.-]*):\/\//i.exec(target)?.[1] ?? "git+ssh";
}

function withoutPassword(text: string): string {
  return text.replace(/(:\/\/)[^\s/@]+@/g, "$1****@");
}

function hashesIn(text: string): string[] {
  return [...text.matchAll(/--hash[= ]sha256:([0-9a-f]{64})/gi)].map(([, hash = ""]) => hash.toLowerCase());
}

/** A requirement of exactly one version, as locks have them. */
export interface Pin {
  readonly name: string;
  readonly version: string;
  readonly extras: string;
  readonly markers: string;
  readonly hashes: readonly string[];
}

export function parsePin(text: string): Pin | undefined {
  const found = /^([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?\s*===?\s*([^\s;,*]+)\s*(;.*?)?(?:\s+--hash.*)?$/s.exec(
    text,
  );
  if (found === null) return undefined;
  const [, name = "", extras = "", version = "", markers = ""] = found;
  return { name, extras, version, markers: markers.trim(), hashes: hashesIn(text) };
}
