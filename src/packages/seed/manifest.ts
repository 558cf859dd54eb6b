import type { LimitsAsked } from "../../domain/limits.ts";
import { categoryOf, type ProviderKind } from "../../domain/package.ts";
import { manifestInvalid } from "../manifest-fault.ts";
import type { Json, JsonObject, Source } from "../yaml-source.ts";

const STORAGE_BYTES_MAX = 1_073_741_824;
export const SEED_LAUNCHER = "_berth_launcher";

const KINDS: Readonly<Record<string, ProviderKind>> = {
  tools: "tool",
  models: "model",
  endpoints: "endpoint",
  datasources: "datasource",
  agent_strategies: "agent_strategy",
  triggers: "trigger",
};

const KEYS: Readonly<Record<string, readonly string[]>> = {
  "": [
    ...[
      "version",
      "type",
      "author",
      "name",
      "label",
      "description",
      "icon",
      "icon_dark",
      "category",
      "resource",
    ],
    ...["plugins", "meta", "tags", "created_at", "privacy", "repo", "dependencies", "dialect", "verified"],
  ],
  resource: ["memory", "storage", "max_concurrent_requests", "timeout", "permission"],
  meta: ["version", "minimum_dify_version", "arch", "runner"],
};

/** Warns of unknown keys: a misspelt one has no effect. */
export function warnOfUnknownKeys(manifest: Source): void {
  for (const [field, known] of Object.entries(KEYS)) {
    const at = field === "" ? manifest : manifest.get(field);
    for (const key of at.keys.filter((key) => !known.includes(key)))
      at.get(key).warn("is no key of a manifest, and is ignored");
  }
}

export interface SeedManifestParts {
  readonly manifest: Source;
  readonly limits: LimitsAsked & { readonly memoryBytes: number };
  /** Paths of provider files by list. */
  readonly plugins: Readonly<Record<string, readonly string[]>>;
  /** File name below `_assets/`. */
  readonly icon: string;
  readonly iconDark: string;
  /** RFC 3339, for a manifest without a time. */
  readonly createdAt: string;
}

/** The manifest of a seed package in the form of the real dialect, which the SDK inside the image reads. */
export function completeManifest(parts: SeedManifestParts): JsonObject {
  const { manifest, limits, plugins, icon, iconDark, createdAt } = parts;
  checkCategory(manifest, plugins);
  const name = manifest.get("name").text ?? "";
  const label = completeI18n(manifest.get("label"), name);
  const meta = manifest.get("meta");
  const minimum = meta.get("minimum_dify_version");
  const runner = meta.get("runner");
  return {
    version: manifest.get("version").text ?? "",
    type: "plugin",
    author: manifest.get("author").text ?? "",
    name,
    label,
    description: completeI18n(manifest.get("description"), label["en_US"]),
    icon,
    ...(iconDark === "" ? {} : { icon_dark: iconDark }),
    resource: {
      memory: limits.memoryBytes,
      permission: completePermission(manifest.get("resource").get("permission"), limits),
    },
    plugins,
    meta: {
      version: meta.get("version").text ?? "0.0.1",
      arch: meta.get("arch").isEmpty ? ["amd64", "arm64"] : meta.get("arch").toJson(),
      runner: {
        language: runner.get("language").text ?? "python",
        version: runner.get("version").text ?? "3.12",
        entrypoint: SEED_LAUNCHER,
      },
      ...(minimum.isEmpty ? {} : { minimum_dify_version: minimum.text ?? "" }),
    },
    tags: manifest.get("tags").isEmpty ? [] : manifest.get("tags").toJson(),
    created_at: manifest.get("created_at").text ?? createdAt,
    ...keep(manifest, ["privacy", "repo"]),
  };
}

/** Languages as written; a bare text is the English one. */
export function completeI18n(at: Source, byDefault: Json | undefined): JsonObject {
  if (at.isScalar) return { en_US: at.text ?? "" };
  if (!at.isEmpty && !at.isMap) throw at.refuse("a text, or a map of languages with en_US");
  const written = Object.fromEntries(
    at.keys.filter((key) => at.get(key).isScalar).map((key) => [key, at.get(key).text ?? ""]),
  );
  return at.get("en_US").isEmpty ? { ...written, en_US: byDefault ?? "" } : written;
}

/** `true` means `{"enabled": true}`; storage without a size gets the manifest's disk size. */
function completePermission(at: Source, { storageBytes }: LimitsAsked): JsonObject {
  if (!at.isEmpty && !at.isMap) throw at.refuse("a map: tool, model, node, endpoint, app, storage");
  const size = Math.min(storageBytes ?? STORAGE_BYTES_MAX, STORAGE_BYTES_MAX);
  const entries = at.keys.map((key): [string, Json] => {
    const value = at.get(key);
    const block = value.isMap ? value.toJson() : { enabled: flagOf(value) };
    const sized = key === "storage" && value.get("size").isEmpty;
    return [key, sized ? { ...Object(block), size } : block];
  });
  return Object.fromEntries(entries);
}

function flagOf(at: Source): boolean {
  if (at.isEmpty) return false;
  const value = at.flag;
  if (value === undefined) throw at.refuse('true, false, or a map such as {"enabled": true}');
  return value;
}

function checkCategory(manifest: Source, plugins: SeedManifestParts["plugins"]): void {
  const at = manifest.get("category");
  if (at.isEmpty) return;
  const offered = Object.entries(KINDS).filter(([list]) => (plugins[list] ?? []).length > 0);
  const derived = categoryOf(offered.map(([, kind]) => kind));
  if (at.text === derived) return;
  throw manifestInvalid({
    file: manifest.file,
    field: "category",
    value: at.text,
    accepted: `${derived}, which follows from the entries of plugins`,
  });
}

function keep(manifest: Source, keys: readonly string[]): JsonObject {
  const written = keys.filter((key) => manifest.get(key).isScalar);
  return Object.fromEntries(written.map((key) => [key, manifest.get(key).text ?? ""]));
}
