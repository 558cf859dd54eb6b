import type { JsonObject, Source } from "../yaml-source.ts";
import { type Reading, readItems, warnMissingSource } from "./items.ts";
import { TOOL_TYPES } from "./parameter-types.ts";
import {
  autoGenerate,
  itemIdentity,
  oauthSchema,
  outputSchema,
  parameterOption,
  providerConfigs,
  providerIdentity,
  template,
} from "./provider-config.ts";
import { any, flag, i18n, integer, list, number, optional, type Reader, struct, text } from "./readers.ts";

const parameter: Reader<JsonObject> = struct({
  name: text({ needed: true, charsMax: 1023 }),
  label: i18n({ needed: true }),
  human_description: i18n({ needed: true }),
  type: text({ needed: true, oneOf: TOOL_TYPES }),
  scope: optional(text({ charsMax: 1024 })),
  form: text({ needed: true, oneOf: ["schema", "form", "llm"] }),
  llm_description: text(),
  required: flag,
  auto_generate: optional(autoGenerate),
  template: optional(template),
  default: any,
  min: optional(number),
  max: optional(number),
  multiple: flag,
  precision: optional(integer),
  options: list(parameterOption),
});

const tool: Reader<JsonObject> = struct({
  identity: itemIdentity,
  description: struct({ human: i18n({ needed: true }), llm: text({ needed: true }) }),
  parameters: list(parameter),
  output_schema: outputSchema,
  has_runtime_parameters: flag,
});

/** The `tool` block of a declaration. */
export async function readToolProvider(at: Source, reading: Reading): Promise<JsonObject> {
  if (!at.isMap) throw at.refuse("a map: identity, tools");
  warnMissingSource(at.get("extra").get("python").get("source"), reading);
  const written = at.get("credentials_schema");
  const hasFields =
    (written.isMap && written.keys.length > 0) || (written.isList && written.items.length > 0);
  return {
    identity: providerIdentity(at.get("identity")),
    credentials_schema: providerConfigs(hasFields ? written : at.get("credentials_for_provider")),
    oauth_schema: optional(oauthSchema)(at.get("oauth_schema")),
    tools: await readItems(at.get("tools"), tool, reading),
  };
}
