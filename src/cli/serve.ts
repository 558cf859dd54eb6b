import { type Berth, type Role, startBerth } from "../app.ts";
import { type Config, redactedSettings } from "../config.ts";
import { Fault, isFault } from "../domain/fault.ts";
import { createLog, type Log } from "../observe/log.ts";

const LAST_MS_MAX = 30_000;

/**
 * Serves until SIGTERM or SIGINT; resolves when everything has stopped. Plugins' containers keep running. Throws
 * `instance_claimed` where another Berth has taken over, `internal` where the state of the process is in doubt.
 */
export async function serveUntilSignal({ config, role }: { config: Config; role: Role }): Promise<void> {
  const log = createLog({ level: config.settings.BERTH_LOG_LEVEL });
  const signalled = nextSignal();
  log.info({ op: "berth.start", role, settings: redactedSettings(config.settings) });
  const berth = await startBerth({ config, log, role, signal: abortedBy(signalled) }).catch(
    (error: unknown) => {
      if (!isFault(error, "shutting_down")) throw error;
      log.info({ op: "berth.stop", ok: true }, error.message);
    },
  );
  if (berth === undefined) return;
  const fault = await Promise.race([signalled.then(() => undefined), berth.lost]);
  // A process that must not go on may be unable to stop in order; plugins keep running in either case.
  if (fault !== undefined) setTimeout(() => process.exit(1), LAST_MS_MAX).unref();
  await stopBerth(berth, log, { removeContainers: false });
  if (fault !== undefined) throw fault;
}

/** Aborts a start that still waits for its servers. */
export function abortedBy(signalled: Promise<NodeJS.Signals>): AbortSignal {
  const stop = new AbortController();
  signalled
    .then((name) => stop.abort(new Fault("shutting_down", `Berth got ${name} before it had started.`)))
    .catch((error: unknown) => stop.abort(error));
  return stop.signal;
}

/** Resolves with the first signal; a second one exits at once. */
export async function nextSignal(): Promise<NodeJS.Signals> {
  const { promise, resolve } = Promise.withResolvers<NodeJS.Signals>();
  let isStopping = false;
  for (const name of ["SIGTERM", "SIGINT"] as const) {
    process.on(name, () => {
      if (isStopping) process.exit(1);
      isStopping = true;
      resolve(name);
    });
  }
  return promise;
}

export async function stopBerth(
  berth: Berth,
  log: Log,
  options: { removeContainers: boolean },
): Promise<void> {
  try {
    await berth.stop(options);
    log.info({ op: "berth.stop", ok: true });
  } catch (error) {
    log.error({ op: "berth.stop", ok: false, err: error });
    throw error;
  }
}
