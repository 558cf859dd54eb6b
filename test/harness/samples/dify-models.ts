/** What clients of the daemon require of its answers: as in their models, one wrong field fails a whole list. */
import { z } from "zod";

const Localized = z.object({ en_US: z.string() });
const Time = z.iso.datetime({ offset: true });
const Version = z.string().regex(/^\d{1,4}(\.\d{1,4}){1,3}(-\w{1,16})?$/);
const Texts = z.array(z.string()).nullable();
const Identity = z.object({
  author: z.string(),
  name: z.string(),
  description: Localized.nullish(),
  icon: z.string().nullish(),
  label: Localized,
  tags: z.array(z.string()).nullish(),
});
const Credentials = z.array(z.object({ name: z.string(), type: z.string() })).nullish();

const ToolBlock = z.object({
  identity: Identity,
  credentials_schema: Credentials,
  tools: z.array(
    z.object({ identity: z.object({ author: z.string(), name: z.string(), label: Localized }) }),
  ),
});
const ModelBlock = z.object({
  provider: z.string(),
  label: Localized,
  supported_model_types: z.array(z.string()),
  configurate_methods: z.array(z.string()),
  models: z.array(z.object({ model: z.string(), label: Localized, model_type: z.string() })),
});
const StrategyBlock = z.object({
  identity: Identity,
  strategies: z.array(z.object({ identity: z.unknown() })),
});
const DatasourceBlock = z.object({
  identity: Identity,
  provider_type: z.string(),
  datasources: z.array(z.object({ identity: z.unknown() })),
});
const TriggerBlock = z.object({ identity: Identity, events: z.array(z.object({ identity: z.unknown() })) });

const Meta = z.object({ minimum_dify_version: z.string().nullish(), version: z.string().nullish() });

export const DeclarationModel = z.object({
  version: Version,
  author: z
    .string()
    .regex(/^[a-zA-Z0-9_-]{1,64}$/)
    .nullable(),
  name: z.string().regex(/^[a-z0-9_-]{1,128}$/),
  description: Localized,
  label: Localized,
  icon: z.string(),
  icon_dark: z.string().nullish(),
  created_at: Time,
  resource: z.object({
    memory: z.int(),
    permission: z
      .object({ storage: z.object({ size: z.int().min(1024).max(1_073_741_824) }).nullish() })
      .nullish(),
  }),
  plugins: z.object({ tools: Texts, models: Texts, endpoints: Texts }),
  tags: z.array(z.string()),
  verified: z.boolean(),
  meta: Meta,
  tool: ToolBlock.optional(),
  model: ModelBlock.optional(),
  agent_strategy: StrategyBlock.optional(),
  datasource: DatasourceBlock.optional(),
  trigger: TriggerBlock.optional(),
  endpoint: z.object({ settings: Credentials, endpoints: z.array(z.unknown()).nullish() }).optional(),
});

const Row = z.object({
  id: z.uuid(),
  created_at: Time,
  updated_at: Time,
  tenant_id: z.uuid(),
  plugin_id: z.string().min(1),
  plugin_unique_identifier: z.string().min(1),
});

const InstallationRow = Row.extend({
  endpoints_setups: z.int().min(0),
  endpoints_active: z.int().min(0),
  runtime_type: z.string().min(1),
  source: z.enum(["github", "marketplace", "package", "remote"]),
  meta: z.record(z.string(), z.unknown()),
  version: Version,
  checksum: z.string().regex(/^[a-f0-9]{32,64}$/),
  declaration: DeclarationModel,
});

const PluginItem = InstallationRow.extend({ name: z.string().min(1), installation_id: z.uuid() });
export const PluginList = z.object({ list: z.array(PluginItem), total: z.int() });
export const CategoryList = z.object({ list: z.array(PluginItem), has_more: z.boolean() });
export const Batch = z.array(InstallationRow);
export const PluginIds = z.object({ plugin_ids: z.array(z.string()) });
export const Missing = z.array(
  z.object({ plugin_unique_identifier: z.string(), current_identifier: z.string() }),
);
export const Bindings = z.array(
  z.object({
    provider: z.string(),
    installation_id: z.uuid(),
    plugin_id: z.string(),
    plugin_unique_identifier: z.string(),
    runtime_type: z.string(),
    source: z.string(),
    version: Version,
    verified: z.boolean(),
  }),
);

const provider = <T extends z.ZodType>(declaration: T) => Row.extend({ provider: z.string(), declaration });

/** One item of each list of providers. */
export const PROVIDERS = {
  tools: provider(ToolBlock),
  models: provider(ModelBlock),
  agent_strategies: provider(StrategyBlock).extend({ meta: Meta }),
  datasources: provider(DatasourceBlock),
  triggers: provider(TriggerBlock),
} as const;

export const Decoded = z.object({
  unique_identifier: z.string(),
  manifest: DeclarationModel,
  verification: z.object({ authorized_category: z.enum(["langgenius", "partner", "community"]) }).nullable(),
});

export const BundleDependencies = z.array(
  z.discriminatedUnion("type", [
    z.object({
      type: z.literal("github"),
      value: z.object({
        repo_address: z.string(),
        repo: z.string(),
        release: z.string(),
        packages: z.string(),
      }),
    }),
    z.object({
      type: z.literal("marketplace"),
      value: z.object({ organization: z.string(), plugin: z.string(), version: z.string() }),
    }),
    z.object({
      type: z.literal("package"),
      value: z.object({ unique_identifier: z.string(), manifest: DeclarationModel }),
    }),
  ]),
);
