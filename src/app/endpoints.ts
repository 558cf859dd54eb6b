import { type EndpointDirectory, openEndpointDirectory } from "../endpoint/endpoint-directory.ts";
import { createEndpoints, type Endpoints } from "../endpoint/endpoints.ts";
import { createBerthSecrets } from "../endpoint/secret-settings/berth-secrets.ts";
import { createInnerApi } from "../endpoint/secret-settings/inner-api.ts";
import { createPlatformSecrets, withoutPlatform } from "../endpoint/secret-settings/platform-secrets.ts";
import { resealAll } from "../endpoint/secret-settings/reseal.ts";
import type { SecretKeys } from "../endpoint/secret-settings/secret-keys.ts";
import type { SecretKeeper } from "../endpoint/secret-settings/secrets.ts";
import type { Invoker } from "../invocation/invoke.ts";
import { systemClock } from "../util/clock.ts";
import { openTlsContext } from "../util/tls-context.ts";
import type { Base } from "./base.ts";
import { endpointDirectorySettings, innerApiSettings } from "./settings.ts";

export interface OpenEndpoints {
  readonly endpoints: Endpoints;
  readonly endpointDirectory: EndpointDirectory;
}

/** Endpoints, with their secrets held by the platform where it is configured, else by Berth. */
export async function openEndpoints(
  base: Base,
  { invoker, keys }: { readonly invoker: Pick<Invoker, "find">; readonly keys: SecretKeys },
): Promise<OpenEndpoints> {
  const { config, log, scope, store, queue } = base;
  const secrets = await openSecrets(base, keys);
  const directory = scope.use(
    await openEndpointDirectory({
      store,
      secrets,
      pubSub: queue,
      clock: systemClock,
      log,
      installations: invoker,
      settings: endpointDirectorySettings(config),
    }),
  );
  return { endpoints: createEndpoints({ store, secrets, directory }), endpointDirectory: directory };
}

async function openSecrets({ config, log, scope, store }: Base, keys: SecretKeys): Promise<SecretKeeper> {
  const berth = createBerthSecrets({ keys });
  const inner = innerApiSettings(config);
  if (inner === undefined) {
    const resealing = resealAll({ store, keys, log }, scope.signal);
    scope.add(() => resealing);
    return withoutPlatform(berth);
  }
  const trust = await openTlsContext({ caBundleFile: config.settings.BERTH_CA_BUNDLE });
  return createPlatformSecrets({ innerApi: createInnerApi({ ...inner, trust }), berth });
}
