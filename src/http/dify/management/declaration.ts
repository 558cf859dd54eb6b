/**
 * Declarations as every generation of clients can read them. One that cannot be read must not take a whole list with
 * it, nor hide the plugin from those who want to remove it: what is missing in it is said by the plugin's identifier,
 * and a block that no client would take is left out.
 */

import { isMap, type JsonMap } from "../../../domain/json.ts";
import {
  categoryOf,
  type DeclarationJson,
  PROVIDER_KINDS,
  type ProviderKind,
} from "../../../domain/package.ts";

/** What an identifier says by itself. */
export interface IdentifierParts {
  /** Undefined where the identifier has none. */
  readonly author: string | undefined;
  readonly name: string;
  readonly version: string;
  readonly checksum: string;
}

const IDENTIFIER = /^(?:([^/]+)\/)?([^/:]+):([^@]+)@([a-f0-9]+)$/;

/** Undefined for what is no identifier at all. */
export function identifierParts(identifier: string): IdentifierParts | undefined {
  const [, author, name, version, checksum] = IDENTIFIER.exec(identifier) ?? [];
  if (name === undefined || version === undefined || checksum === undefined) return undefined;
  return { author, name, version, checksum };
}

export interface ReadableDeclaration extends JsonMap {
  readonly name: string;
  readonly version: string;
  readonly label: JsonMap;
  readonly description: JsonMap;
  readonly tags: readonly unknown[];
  readonly meta: JsonMap;
  readonly verified: boolean;
}

/** Every field that clients need is there and of its type; `stored` undefined: there is no Declaration. */
export function readableDeclaration(
  stored: DeclarationJson | undefined,
  { author, name, version }: IdentifierParts,
  createdAt: Date,
): ReadableDeclaration {
  const given = stored ?? {};
  const { version: ownVersion, name: ownName, label, description, tags, meta, verified } = given;
  return {
    ...withoutBlocks(given),
    version: textOr(ownVersion, version),
    type: "plugin",
    author: textOr(given["author"], author ?? null),
    name: textOr(ownName, name),
    label: isLocalized(label) ? label : { en_US: name },
    description: isLocalized(description) ? description : { en_US: "" },
    icon: textOr(given["icon"], ""),
    icon_dark: textOr(given["icon_dark"], ""),
    resource: isMap(given["resource"]) ? { memory: 0, ...given["resource"] } : { memory: 0 },
    plugins: isMap(given["plugins"]) ? given["plugins"] : NO_PLUGINS,
    meta: isMap(meta) ? meta : { version, arch: [], runner: NO_RUNNER, minimum_dify_version: null },
    tags: Array.isArray(tags) ? tags : [],
    created_at: textOr(given["created_at"], createdAt.toISOString()),
    verified: verified === true,
    ...readableBlocks(given),
  };
}

const NO_PLUGINS = {
  tools: null,
  models: null,
  endpoints: null,
  agent_strategies: null,
  datasources: null,
  triggers: null,
};
const NO_RUNNER = { language: "python", version: "", entrypoint: "" };

/** What a client looks for in each block first, and the list that must be one. */
const BLOCKS = {
  tool: { list: "tools", isReadable: hasIdentity },
  model: { list: "models", isReadable: (block) => typeof block["provider"] === "string" },
  datasource: { list: "datasources", isReadable: hasIdentity },
  agent_strategy: { list: "strategies", isReadable: hasIdentity },
  trigger: { list: "events", isReadable: hasIdentity },
  // may be null, as a plugin without any has it
  endpoint: { list: undefined, isReadable: () => true },
} as const satisfies Record<
  ProviderKind,
  { readonly list: string | undefined; readonly isReadable: (block: JsonMap) => boolean }
>;

function readableBlocks(given: JsonMap): JsonMap {
  const blocks: [string, JsonMap][] = [];
  for (const kind of PROVIDER_KINDS) {
    const block = given[kind];
    const { list, isReadable } = BLOCKS[kind];
    if (!isMap(block) || !isReadable(block)) continue;
    const isWhole = list === undefined || Array.isArray(block[list]);
    blocks.push([kind, isWhole ? block : { ...block, [list]: [] }]);
  }
  return Object.fromEntries(blocks);
}

function withoutBlocks(given: JsonMap): JsonMap {
  const kinds: readonly string[] = PROVIDER_KINDS;
  return Object.fromEntries(Object.entries(given).filter(([key]) => !kinds.includes(key)));
}

/** What the plugin is filed under, by the blocks that it has. */
export function categoryOfDeclaration(declaration: ReadableDeclaration) {
  return categoryOf(PROVIDER_KINDS.filter((kind) => isMap(declaration[kind])));
}

function hasIdentity(block: JsonMap): boolean {
  const { identity } = block;
  return isMap(identity) && typeof identity["name"] === "string" && isLocalized(identity["label"]);
}

function isLocalized(value: unknown): value is JsonMap {
  return isMap(value) && typeof value["en_US"] === "string";
}

function textOr<T>(value: unknown, otherwise: T): string | T {
  return typeof value === "string" ? value : otherwise;
}
