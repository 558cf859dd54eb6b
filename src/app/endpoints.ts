import { type EndpointDirectory, openEndpointDirectory } from "../endpoint/endpoint-directory.ts";
import { createEndpoints, type Endpoints } from "../endpoint/endpoints.ts";
import { createBerthSecrets } from "../endpoint/secret-settings/berth-secrets.ts";
import { createPlatformSecrets, withoutPlatform } from "../endpoint/secret-settings/platform-secrets.ts";
import { resealAll } from "../endpoint/secret-settings/reseal.ts";
import type { SecretKeys } from "../endpoint/secret-settings/secret-keys.ts";
import type { SecretKeeper } from "../endpoint/secret-settings/secrets.ts";
import type { Invoker } from "../invocation/invoke.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { openInnerApi } from "./platform.ts";
import { endpointDirectorySettings } from "./settings.ts";

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
  const settings = { permissionDefault: config.settings.BERTH_PLUGIN_PERMISSIONS };
  return {
    endpoints: createEndpoints({ store, secrets, directory, settings }),
    endpointDirectory: directory,
  };
}

async function openSecrets(base: Base, keys: SecretKeys): Promise<SecretKeeper> {
  const { log, scope, store } = base;
  const berth = createBerthSecrets({ keys });
  const innerApi = await openInnerApi(base);
  if (innerApi === undefined) {
    const resealing = resealAll({ store, keys, log }, scope.signal);
    scope.add(() => resealing);
    return withoutPlatform(berth);
  }
  return createPlatformSecrets({ innerApi, berth });
}
