import type { CredentialNeed } from "../../../domain/credential-form.ts";
import { Fault } from "../../../domain/fault.ts";
import type { InstalledPlugin } from "../../installation-directory.ts";

/** Which provider of which plugin. */
export interface FoundProvider {
  readonly pluginId: string;
  readonly provider: string;
  readonly credentials: CredentialNeed;
}

/**
 * `author/plugin/provider`, or the provider's own name where exactly one of the plugins has it. Throws
 * `provider_not_found`.
 */
export function findProvider(
  plugins: readonly InstalledPlugin[],
  kind: "tool" | "model",
  given: unknown,
): FoundProvider {
  const all = plugins.flatMap(({ catalog }) =>
    catalog.providers
      .filter((provider) => provider.kind === kind)
      .map(({ name, credentials }) => ({ pluginId: catalog.pluginId, provider: name, credentials })),
  );
  const found = all.filter(
    ({ pluginId, provider }) => given === provider || given === `${pluginId}/${provider}`,
  );
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const names = (found.length > 1 ? found : all).map(({ pluginId, provider }) => `${pluginId}/${provider}`);
  throw new Fault(
    "provider_not_found",
    `The tenant has ${found.length === 0 ? "no" : "more than one"} ${kind} provider ${JSON.stringify(given)}; accepted: ${names.join(", ")}.`,
    { details: { field: "provider", value: given, accepted: names } },
  );
}
