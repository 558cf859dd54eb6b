/** Which plugins run on a variant of the runtime image, by plugin id; `*` stands for all others. */
export type PluginVariants = Readonly<Record<string, string>>;

export const PLUGIN_VARIANTS_ACCEPTED =
  "`author/name=variant`, or `*=variant` for all others, comma-separated; each plugin once";

const ENTRY = /^(\*|[\w-]+\/[\w.-]+)=([a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?)$/;

/** Undefined where the text is none. */
export function parsePluginVariants(text: string): PluginVariants | undefined {
  const entries = text.split(",").flatMap((item) => item.trim() || []);
  const found = new Map<string, string>();
  for (const entry of entries) {
    const [, plugin, variant] = ENTRY.exec(entry) ?? [];
    if (plugin === undefined || variant === undefined || found.has(plugin)) return undefined;
    found.set(plugin, variant);
  }
  return Object.fromEntries(found);
}

/** Undefined: the plugin runs on the runtime image itself. */
export function variantOf(variants: PluginVariants, pluginId: string): string | undefined {
  return Object.hasOwn(variants, pluginId) ? variants[pluginId] : variants["*"];
}
