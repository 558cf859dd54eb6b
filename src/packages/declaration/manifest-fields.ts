import { Fault } from "../../domain/fault.ts";
import type { PackageRunner } from "../../domain/package.ts";
import {
  AUTHOR_PATTERN,
  isIdentifierVersion,
  isUuidAuthor,
  NAME_PATTERN,
  type PackageRef,
  VERSION_PATTERN,
} from "../../domain/package-ref.ts";
import type { JsonObject, Source } from "../yaml-source.ts";
import { tags } from "./provider-config.ts";
import { flag, i18n, integer, list, omitted, optional, type Reader, struct, text } from "./readers.ts";
import { timestamp } from "./timestamp.ts";

const STORAGE_BYTES_MAX = 1_073_741_824;
/** A smaller number of bytes was likely meant as megabytes. */
const MEMORY_BYTES_LIKELY = 65_536;
const PYTHON_DEFAULT = "3.12";
const ARCHES: readonly string[] = ["amd64", "arm64"];
const MODULE_PATTERN = /^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$/;

const enabled = omitted(struct({ enabled: flag }));
const permission = struct({
  tool: enabled,
  model: omitted(
    struct({
      enabled: flag,
      llm: flag,
      text_embedding: flag,
      rerank: flag,
      tts: flag,
      speech2text: flag,
      moderation: flag,
    }),
  ),
  node: enabled,
  endpoint: enabled,
  app: enabled,
  storage: omitted(struct({ enabled: flag, size: storageBytes })),
});

function storageBytes(at: Source): number {
  const bytes = integer(at);
  if (bytes < 0) throw at.refuse(`a number of bytes from 1024 to ${STORAGE_BYTES_MAX}`);
  if (bytes < 1024 || bytes > STORAGE_BYTES_MAX)
    at.warn(`is ${bytes}; expected 1024 to ${STORAGE_BYTES_MAX} bytes`);
  return bytes;
}

function memoryBytes(at: Source): number {
  const bytes = integer(at);
  if (bytes < 0) throw at.refuse("a whole number of bytes, 1 or more");
  if (bytes === 0) at.warn("is missing: the operator's default applies");
  else if (bytes < MEMORY_BYTES_LIKELY) at.warn(`is ${bytes}, which looks like MB and is read as bytes`);
  return bytes;
}

const paths = list(text({ charsMax: 128 }));

const FIELDS: Readonly<Record<string, Reader>> = {
  version,
  type: pluginType,
  author,
  name,
  label: i18n({ needed: true }),
  description: i18n({ needed: true }),
  icon: text({ needed: true, charsMax: 128 }),
  icon_dark: text({ charsMax: 128 }),
  resource: struct({ memory: memoryBytes, permission: omitted(permission) }),
  plugins: struct({
    tools: paths,
    models: paths,
    endpoints: paths,
    agent_strategies: paths,
    datasources: paths,
    triggers: paths,
  }),
  meta: struct({
    version: text({ needed: true, pattern: VERSION_PATTERN }),
    arch: list(text({ oneOf: ARCHES })),
    runner: struct({
      language: text({ needed: true }),
      version: text({ needed: true, charsMax: 128 }),
      entrypoint: text({ needed: true, charsMax: 256 }),
    }),
    minimum_dify_version: optional(text()),
  }),
  tags,
  created_at: timestamp,
  privacy: omitted(text()),
  repo: omitted(text()),
};

/** The manifest's own part of the declaration, key for key. Throws `manifest_invalid`. */
export function readManifestFields(at: Source): JsonObject {
  if (!at.isMap) throw at.refuse("a map: author, name, version, plugins, ...");
  return struct(FIELDS)(at);
}

/** Reads author, name and version by the rules of an identifier. Throws `manifest_invalid`. */
export function readIdentity(manifest: Source): Pick<PackageRef, "author" | "name" | "version"> {
  return {
    author: author(manifest.get("author")),
    name: name(manifest.get("name")),
    version: version(manifest.get("version")),
  };
}

/** Reads entrypoint, Python version and architectures. Throws `manifest_invalid` for values that could never start. */
export function readRunner(manifest: Source): PackageRunner {
  const at = manifest.get("meta").get("runner");
  const language = at.get("language");
  if (!language.isEmpty && language.text !== "python") throw language.refuse("python");
  const entrypoint = at.get("entrypoint");
  if (!entrypoint.isEmpty && !MODULE_PATTERN.test(entrypoint.text ?? "")) {
    throw entrypoint.refuse("the name of a Python module, for example main");
  }
  const pythonVersion = at.get("version");
  if (!pythonVersion.isEmpty && !/^3(\.\d{1,3}){1,2}$/.test(pythonVersion.text ?? "")) {
    throw pythonVersion.refuse("a version of Python 3, for example 3.12");
  }
  const archAt = manifest.get("meta").get("arch");
  const arch = (list(text())(archAt) ?? []).filter((item) => typeof item === "string");
  if (arch.length > 0 && !arch.some((item) => ARCHES.includes(item))) throw noSuchArch(archAt, arch);
  return {
    language: "python",
    version: pythonVersion.text ?? PYTHON_DEFAULT,
    entrypoint: entrypoint.text ?? "main",
    arch: arch.filter((item) => ARCHES.includes(item)),
  };
}

function noSuchArch({ file, field }: Source, value: readonly string[]): Fault {
  const accepted = ARCHES.join(", ");
  return new Fault(
    "arch_not_supported",
    `${file}: ${field} names no machine that plugins run on; accepted: ${accepted}.`,
    {
      details: { file, field, value, accepted },
    },
  );
}

function pluginType(at: Source): string {
  if (at.text === "bundle") throw at.refuse("plugin; a bundle is uploaded as one");
  return text({ needed: true, oneOf: ["plugin"] })(at);
}

function author(at: Source): string {
  const value = at.text ?? "";
  if (!AUTHOR_PATTERN.test(value)) throw at.refuse("1 to 64 of a-z, 0-9, _ and -");
  if (isUuidAuthor(value)) throw at.refuse("a name that is no UUID: those are kept for debug connections");
  return value;
}

function name(at: Source): string {
  const value = at.text ?? "";
  if (!NAME_PATTERN.test(value)) throw at.refuse("1 to 128 of a-z, 0-9, _ and -");
  return value;
}

function version(at: Source): string {
  const value = at.text ?? "";
  if (!isIdentifierVersion(value)) throw at.refuse("a version such as 1.2.3 or 1.2.3-beta1");
  if (!VERSION_PATTERN.test(value)) at.warn(`is ${value}; expected three numbers, for example 1.2.3`);
  return value;
}
