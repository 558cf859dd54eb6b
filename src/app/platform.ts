import { createInnerApi, type InnerApi } from "../platform/inner-api.ts";
import { openTlsContext } from "../util/tls-context.ts";
import type { Base } from "./base.ts";
import { innerApiSettings } from "./settings.ts";

/** A client of the platform's inner API; undefined where no platform is configured. It has no connection of its own. */
export async function openInnerApi({ config }: Base): Promise<InnerApi | undefined> {
  const settings = innerApiSettings(config);
  if (settings === undefined) return undefined;
  const trust = await openTlsContext({ caBundleFile: config.settings.BERTH_CA_BUNDLE });
  return createInnerApi({ ...settings, trust });
}
