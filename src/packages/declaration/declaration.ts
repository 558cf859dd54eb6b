import { PROVIDER_KINDS, type ProviderKind } from "../../domain/package.ts";
import { manifestInvalid } from "../manifest-fault.ts";
import type { Json, JsonObject, Source } from "../yaml-source.ts";
import { isObject, renameIcons } from "./icons.ts";
import { openNamed, type Reading } from "./items.ts";
import { readManifestFields } from "./manifest-fields.ts";
import { readModelProvider } from "./model.ts";
import {
  readDatasourceProvider,
  readEndpointGroup,
  readStrategyProvider,
  readTriggerProvider,
} from "./other-kinds.ts";
import { readToolProvider } from "./tool.ts";

interface KindRule {
  readonly kind: ProviderKind;
  /** The list in the manifest's `plugins`. */
  readonly list: string;
  readonly read: (at: Source, reading: Reading) => Promise<JsonObject>;
}

/** In the order in which a declaration shows its blocks. */
const KINDS: readonly KindRule[] = [
  { kind: "endpoint", list: "endpoints", read: readEndpointGroup },
  { kind: "model", list: "models", read: readModelProvider },
  { kind: "tool", list: "tools", read: readToolProvider },
  { kind: "agent_strategy", list: "agent_strategies", read: readStrategyProvider },
  { kind: "datasource", list: "datasources", read: readDatasourceProvider },
  { kind: "trigger", list: "triggers", read: readTriggerProvider },
];
/** The only kinds that one package of the real dialect may combine. */
const COMBINABLE: readonly ProviderKind[] = ["tool", "endpoint"];

/** Columns hold 127 characters; the name is part of paths and log lines. */
const PROVIDER_NAME = /^[^\p{Cc}\p{Cs}]{1,127}$/u;

export interface Declared {
  readonly declaration: JsonObject;
  readonly providers: readonly { readonly kind: ProviderKind; readonly name: string }[];
}

/**
 * Reads the declaration: the manifest with its providers, in the form that the platform reads. `combinable` allows any
 * combination of kinds; `icons` shows icons by the ids of their contents or by their names in the manifest. Throws
 * `manifest_invalid`.
 */
export async function readDeclaration(
  manifest: Source,
  reading: Reading,
  { combinable, icons }: { readonly combinable: boolean; readonly icons: "ids" | "names" },
): Promise<Declared> {
  const fields = readManifestFields(manifest);
  const blocks: [ProviderKind, JsonObject][] = [];
  for (const { kind, list, read } of KINDS) {
    const listed = manifest.get("plugins").get(list);
    const [first, second] = listed.items;
    if (second !== undefined) throw second.refuse(`one provider for each kind, beside ${first?.text}`);
    if (first !== undefined) blocks.push([kind, await read(await openNamed(first, reading), reading)]);
  }
  const kinds = blocks.map(([kind]) => kind);
  checkKinds(manifest, kinds, combinable);
  const declaration = withDefaults(
    { ...fields, verified: false, ...Object.fromEntries(blocks) },
    { tags: fields["tags"] ?? [] },
  );
  return {
    declaration: icons === "ids" ? await renameIcons(declaration, reading.files) : declaration,
    providers: PROVIDER_KINDS.filter((kind) => kinds.includes(kind)).map((kind) => ({
      kind,
      name: providerName(manifest, declaration, kind),
    })),
  };
}

function checkKinds(manifest: Source, kinds: readonly ProviderKind[], combinable: boolean): void {
  const plugins = { file: manifest.file, field: "plugins" };
  if (kinds.length === 0) {
    const accepted = `a provider in at least one of ${KINDS.map(({ list }) => list).join(", ")}`;
    throw manifestInvalid({ ...plugins, value: undefined, accepted });
  }
  if (combinable || kinds.length === 1 || kinds.every((kind) => COMBINABLE.includes(kind))) return;
  throw manifestInvalid({
    ...plugins,
    value: kinds.join(", "),
    accepted: "one kind, or tool and endpoint together",
  });
}

/** Fills a provider's empty fields from the manifest. */
function withDefaults(declaration: JsonObject, { tags }: { readonly tags: Json }): JsonObject {
  const filled = { ...declaration };
  for (const block of ["tool", "trigger"]) {
    const provider = filled[block];
    if (!isObject(provider) || !isObject(provider["identity"])) continue;
    const { identity } = provider;
    const own = isObject(identity["description"]) ? identity["description"]["en_US"] : "";
    const ownTags = identity["tags"];
    filled[block] = {
      ...provider,
      identity: {
        ...identity,
        ...(own === "" ? { description: declaration["description"] ?? null } : {}),
        ...(Array.isArray(ownTags) && ownTags.length === 0 ? { tags } : {}),
      },
    };
  }
  const model = filled["model"];
  if (isObject(model) && model["description"] === null) {
    filled["model"] = { ...model, description: declaration["description"] ?? null };
  }
  return filled;
}

/** An endpoint group has no name of its own; it has the plugin's. */
function providerName(manifest: Source, declaration: JsonObject, kind: ProviderKind): string {
  const block = declaration[kind];
  const identity = isObject(block) ? block["identity"] : undefined;
  const named =
    kind === "endpoint"
      ? declaration["name"]
      : kind === "model" && isObject(block)
        ? block["provider"]
        : isObject(identity)
          ? identity["name"]
          : undefined;
  if (typeof named === "string" && PROVIDER_NAME.test(named)) return named;
  const field = kind === "model" ? "model provider's provider" : `${kind} provider's identity.name`;
  throw manifestInvalid({
    file: manifest.file,
    field,
    value: named,
    accepted: "a name of at most 127 characters",
  });
}
