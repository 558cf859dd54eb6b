import type { Env } from "../../config/environment.ts";
import type { PluginPlace, ProcessRequest } from "./plugin-place.ts";
import { preparePlugin } from "./plugin-process.ts";
import { ensureEnvironment } from "./python-environment.ts";
import { openRelay, type PortRelay } from "./relay.ts";

/** Runs plugins as processes of this machine, with the Python in `.venv`. */
export function createMachinePlace({
  env,
  folder,
  say,
}: {
  readonly env: Env;
  readonly folder: string;
  readonly say: (line: string) => void;
}): PluginPlace {
  return {
    async ensureEnvironment({ python: version }, signal) {
      const request = { env, folder, python: version, say, signal };
      const { python, requirements } = await ensureEnvironment(request);
      return { path: python, madeOf: requirements };
    },
    async prepare(request) {
      const { plugin, environment, address, listener, onLine } = request;
      const relay = await openRelay(address, listener);
      const process = preparePlugin({
        python: environment.path,
        folder,
        entrypoint: plugin.entrypoint,
        env: { ...env, ...connection(request, relay) },
        onLine,
      });
      return { process, relay };
    },
  };
}

/** As its author would set it by hand; the second form of the address is for SDKs before 0.2.3. */
function connection({ key }: ProcessRequest, { port }: PortRelay): Record<string, string> {
  return {
    INSTALL_METHOD: "remote",
    REMOTE_INSTALL_URL: `127.0.0.1:${port}`,
    REMOTE_INSTALL_HOST: "127.0.0.1",
    REMOTE_INSTALL_PORT: String(port),
    REMOTE_INSTALL_KEY: key,
  };
}
