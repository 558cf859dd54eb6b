import type { Json, JsonObject, Source } from "../yaml-source.ts";
import {
  any,
  flag,
  i18n,
  list,
  listOrEmpty,
  omitted,
  optional,
  type Reader,
  struct,
  text,
} from "./readers.ts";

const CONFIG_TYPES = [
  "secret-input",
  "text-input",
  "select",
  "boolean",
  "app-selector",
  "model-selector",
  "array[tools]",
];
const TAGS = [
  "search",
  "image",
  "videos",
  "weather",
  "finance",
  "design",
  "travel",
  "social",
  "news",
  "medical",
  "productivity",
  "education",
  "business",
  "entertainment",
  "utilities",
  "other",
  "agent",
  "rag",
  "trigger",
];
/** Form of the names of providers, tools and events. */
export const IDENTITY_NAME = /^[a-zA-Z0-9_-]+$/;

/** One field of a credential or settings form. */
export const providerConfig: Reader<JsonObject> = struct({
  name: text({ charsMax: 1023 }),
  type: text({ needed: true, oneOf: CONFIG_TYPES }),
  scope: optional(text()),
  required: flag,
  default: any,
  options: list(struct({ value: text({ charsMax: 127 }), label: i18n({ needed: true }) }), 127),
  multiple: flag,
  label: i18n({ needed: true }),
  help: optional(i18n({ needed: true })),
  url: optional(text()),
  placeholder: optional(i18n({ needed: true })),
});

/** A list of fields, or a map from a field's name to the rest of it; never null. */
export const providerConfigs: Reader<readonly Json[]> = (at) => {
  if (!at.isMap) return listOrEmpty(providerConfig)(at);
  return at.keys
    .filter((name) => at.get(name).isMap)
    .map((name) => ({ ...providerConfig(at.get(name)), name }));
};

export const oauthSchema: Reader<JsonObject> = struct({
  client_schema: list(providerConfig),
  credentials_schema: list(providerConfig),
});

export const tags: Reader<readonly Json[]> = listOrEmpty(text({ oneOf: TAGS }));

export const autoGenerate = struct({ type: text({ oneOf: ["prompt_instruction"] }) });
export const template = struct({ enabled: flag });
export const parameterOption = struct({ value: text(), label: i18n({ needed: true }), icon: text() });
export const outputSchema = omitted(nonEmptyMap);

/** An empty map is left out like a missing one. */
function nonEmptyMap(at: Source): Json | undefined {
  if (!at.isMap) throw at.refuse("a map");
  return at.keys.length === 0 ? undefined : any(at);
}

export const providerIdentity: Reader<JsonObject> = struct({
  author: text({ needed: true }),
  name: text({ needed: true, pattern: IDENTITY_NAME }),
  description: i18n({ needed: false }),
  icon: text(),
  icon_dark: text(),
  label: i18n({ needed: true }),
  tags,
});

export const itemIdentity: Reader<JsonObject> = struct({
  author: text({ needed: true }),
  name: text({ needed: true, pattern: IDENTITY_NAME }),
  label: i18n({ needed: true }),
});
