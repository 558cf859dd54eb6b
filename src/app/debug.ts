import { readFile } from "node:fs/promises";
import { createSecureContext, type SecureContext } from "node:tls";
import type { Config } from "../config.ts";
import { DebugInstallations } from "../debug/debug-installations.ts";
import { startDebugListener } from "../debug/debug-listener.ts";
import { startDebugSweep } from "../debug/debug-sweep.ts";
import { createDebuggingKeys, type DebuggingKeys } from "../debug/debugging-keys.ts";
import { Fault } from "../domain/fault.ts";
import type { SecretKeys } from "../endpoint/secret-settings/secret-keys.ts";
import { RUNTIME_LOG_DEFAULTS } from "../runtime/settings.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import type { Links } from "./links.ts";
import { debugSettings } from "./settings.ts";

/** What the doors say of the debug port. */
export interface DebugPort {
  readonly keys: DebuggingKeys;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

/** The port for plugins that their authors run; undefined where it is not configured. Throws `config_invalid`. */
export async function openDebugPort(
  base: Base,
  { folders }: Pick<Links, "folders">,
  keys: SecretKeys,
): Promise<DebugPort | undefined> {
  const { config, log, scope, store, queue, processId } = base;
  const { BERTH_DEBUG_PORT: port, BERTH_DEBUG_HOST: host } = config.settings;
  if (port === 0) return undefined;
  const tls = await tlsOf(config);
  const debuggingKeys = createDebuggingKeys({ store, keys });
  scope.use(
    await startDebugListener({
      keys: debuggingKeys,
      installations: debugInstallations(base, folders),
      store,
      queue,
      clock: systemClock,
      log,
      logs: { dataFolder: config.dataFolder, settings: RUNTIME_LOG_DEFAULTS },
      host,
      port,
      tls,
      processId,
      settings: debugSettings(config),
    }),
  );
  return { keys: debuggingKeys, host, port, isTls: tls !== undefined };
}

/** Removes what processes that died have left of debug connections; every worker does. */
export function sweepDebugConnections(base: Base, { folders }: Pick<Links, "folders">): void {
  const { log, scope, store, config } = base;
  const installations = debugInstallations(base, folders);
  const everyMs = config.settings.BERTH_POLL_SECONDS * 1000;
  scope.use(startDebugSweep({ store, installations, clock: systemClock, log, everyMs }));
}

function debugInstallations(base: Base, folders: Links["folders"]): DebugInstallations {
  const { config, log, store, queue, packages, reader, archiveKeeper, processId } = base;
  return new DebugInstallations({
    store,
    packages,
    reader,
    keeper: archiveKeeper,
    folders,
    queue,
    clock: systemClock,
    log,
    limits: config.limits,
    processId,
  });
}

async function tlsOf({ settings }: Config): Promise<SecureContext | undefined> {
  const { BERTH_DEBUG_TLS_CERT: certFile, BERTH_DEBUG_TLS_KEY: keyFile } = settings;
  if (certFile === undefined && keyFile === undefined) return undefined;
  if (certFile === undefined || keyFile === undefined) throw unusable("both, or neither of them");
  try {
    const [cert, key] = await Promise.all([readFile(certFile), readFile(keyFile)]);
    return createSecureContext({ cert, key });
  } catch (cause) {
    throw unusable("PEM files of a certificate and of its key", cause);
  }
}

function unusable(accepted: string, cause?: unknown): Fault {
  const field = "BERTH_DEBUG_TLS_CERT, BERTH_DEBUG_TLS_KEY";
  const why = cause instanceof Error ? ` (${cause.message})` : "";
  return new Fault("config_invalid", `${field} cannot be used${why}; accepted: ${accepted}.`, {
    details: { field, accepted },
    cause,
  });
}
