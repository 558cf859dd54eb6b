import type { Json, JsonObject, Source } from "../yaml-source.ts";
import { type Reading, readItems } from "./items.ts";
import { DATASOURCE_TYPES, EVENT_TYPES, STRATEGY_TYPES } from "./parameter-types.ts";
import {
  autoGenerate,
  IDENTITY_NAME,
  itemIdentity,
  oauthSchema,
  outputSchema,
  parameterOption,
  providerConfig,
  providerConfigs,
  providerIdentity,
  tags,
  template,
} from "./provider-config.ts";
import {
  any,
  anyMap,
  flag,
  i18n,
  integer,
  list,
  listOrEmpty,
  number,
  omitted,
  optional,
  type Reader,
  struct,
  text,
} from "./readers.ts";

const endpoint: Reader<JsonObject> = struct({
  path: text({ needed: true }),
  method: text({ needed: true, oneOf: ["HEAD", "GET", "POST", "PUT", "DELETE", "OPTIONS"] }),
  hidden: flag,
});

/** The `endpoint` block: a group of endpoints with the settings that they share. */
export async function readEndpointGroup(at: Source, reading: Reading): Promise<JsonObject> {
  if (!at.isMap) throw at.refuse("a map: settings, endpoints");
  const written = at.get("endpoints");
  return {
    settings: list(providerConfig)(at.get("settings")),
    endpoints: written.isEmpty ? null : await readItems(written, endpoint, reading),
  };
}

const strategy: Reader<JsonObject> = struct({
  identity: itemIdentity,
  description: i18n({ needed: true }),
  parameters: list(
    struct({
      name: text({ needed: true, charsMax: 1023 }),
      label: i18n({ needed: true }),
      help: i18n({ needed: false }),
      type: text({ needed: true, oneOf: STRATEGY_TYPES }),
      auto_generate: optional(autoGenerate),
      template: optional(template),
      scope: optional(text({ charsMax: 1024 })),
      required: flag,
      default: any,
      min: optional(number),
      max: optional(number),
      precision: optional(integer),
      options: list(parameterOption),
    }),
  ),
  output_schema: optional(anyMap),
  features: listOrEmpty(text({ charsMax: 255 })),
});

/** The `agent_strategy` block. */
export async function readStrategyProvider(at: Source, reading: Reading): Promise<JsonObject> {
  if (!at.isMap) throw at.refuse("a map: identity, strategies");
  return {
    identity: providerIdentity(at.get("identity")),
    strategies: await readItems(at.get("strategies"), strategy, reading),
  };
}

const datasource: Reader<JsonObject> = struct({
  identity: struct({
    author: text({ needed: true }),
    name: text({ needed: true }),
    label: i18n({ needed: true }),
    icon: text(),
  }),
  parameters: list(
    struct({
      name: text({ needed: true, charsMax: 1023 }),
      label: i18n({ needed: true }),
      type: text({ needed: true, oneOf: DATASOURCE_TYPES }),
      scope: optional(text({ charsMax: 1024 })),
      required: flag,
      auto_generate: optional(autoGenerate),
      template: optional(template),
      default: any,
      min: optional(number),
      max: optional(number),
      precision: optional(integer),
      options: list(parameterOption),
      description: i18n({ needed: true }),
    }),
  ),
  description: i18n({ needed: true }),
  output_schema: outputSchema,
});

/** The `datasource` block. */
export async function readDatasourceProvider(at: Source, reading: Reading): Promise<JsonObject> {
  if (!at.isMap) throw at.refuse("a map: identity, provider_type, datasources");
  return {
    identity: struct({
      author: text({ needed: true }),
      name: text({ needed: true }),
      description: i18n({ needed: true }),
      icon: text(),
      label: i18n({ needed: true }),
      tags,
    })(at.get("identity")),
    credentials_schema: providerConfigs(at.get("credentials_schema")),
    oauth_schema: optional(oauthSchema)(at.get("oauth_schema")),
    provider_type: text({ needed: true, oneOf: ["website_crawl", "online_document", "online_drive"] })(
      at.get("provider_type"),
    ),
    datasources: await readItems(at.get("datasources"), datasource, reading),
  };
}

const eventParameter: Reader<JsonObject> = struct({
  name: text({ needed: true }),
  label: i18n({ needed: true }),
  type: text({ needed: true, oneOf: EVENT_TYPES }),
  auto_generate: omitted(autoGenerate),
  template: omitted(template),
  scope: omitted(text()),
  required: flag,
  multiple: (at) => flag(at) || undefined,
  default: omitted(any),
  min: omitted(number),
  max: omitted(number),
  precision: omitted(integer),
  options: (at) => nonEmpty(list(struct({ label: i18n({ needed: true }), value: any }))(at)),
  description: omitted(i18n({ needed: false })),
});

function nonEmpty(items: readonly Json[] | null): readonly Json[] | undefined {
  return items === null || items.length === 0 ? undefined : items;
}

const event: Reader<JsonObject> = struct({
  identity: struct({
    author: text({ needed: true }),
    name: text({ needed: true, pattern: IDENTITY_NAME }),
    label: i18n({ needed: true }),
  }),
  parameters: list(eventParameter),
  description: i18n({ needed: true }),
  output_schema: outputSchema,
});

/** The `trigger` block. */
export async function readTriggerProvider(at: Source, reading: Reading): Promise<JsonObject> {
  if (!at.isMap) throw at.refuse("a map: identity, events");
  const constructorAt = at.get("subscription_constructor");
  return {
    identity: providerIdentity(at.get("identity")),
    subscription_schema: providerConfigs(at.get("subscription_schema")),
    subscription_constructor: constructorAt.isMap
      ? struct({
          parameters: listOrEmpty(eventParameter),
          credentials_schema: providerConfigs,
          oauth_schema: omitted(oauthSchema),
        })(constructorAt)
      : null,
    events: await readItems(at.get("events"), event, reading),
  };
}
