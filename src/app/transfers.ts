import { join } from "node:path";
import type { Config } from "../config.ts";
import type { PackageTransfers } from "../installation/transfer/contracts.ts";
import { clearStaging } from "../installation/transfer/staging.ts";
import { createPackageTransfers } from "../installation/transfer/transfers.ts";
import type { Log } from "../observe/log.ts";
import { systemClock } from "../util/clock.ts";
import { Scope } from "../util/scope.ts";
import { type Base, openBase } from "./base.ts";
import { createIntake } from "./intake.ts";
import { archiveSettings, buildSettings, exportBounds, taskSettings } from "./settings.ts";
import { type EngineSide, openEngine } from "./worker.ts";

/** Longer than any transfer takes. */
const LEFTOVER_AGE_MS = 24 * 3_600_000;

/** Exports and imports, in a process that has the engine. */
export async function createTransfers(base: Base, { engine }: EngineSide): Promise<PackageTransfers> {
  const { config, log, store, queue, packages, reader, trust, caBundle } = base;
  const stagingFolder = join(config.dataFolder, "transfers");
  await clearStaging(stagingFolder, LEFTOVER_AGE_MS);
  const { leaseMs, pollMs } = taskSettings(config);
  return createPackageTransfers({
    store,
    queue,
    engine,
    reader,
    trust,
    log,
    leaseMs,
    pollMs,
    stagingFolder,
    clock: systemClock,
    packageStore: packages,
    uploads: createIntake(base).uploads,
    archives: archiveSettings(config),
    // Containers of transfers have no network.
    settings: buildSettings(config, { network: "none", caBundle }),
    bounds: exportBounds(config),
    instanceId: store.instanceId,
    cleanupMs: 30_000,
  });
}

/**
 * The same for a command beside a worker: where database and queue are servers, any process may open them. It counts as
 * a worker while it runs, and claims no tasks.
 */
export async function openTransfers(config: Config, log: Log): Promise<PackageTransfers & AsyncDisposable> {
  const scope = new Scope();
  try {
    const parts = { config, log, scope, starting: scope.signal };
    const base = await openBase("worker", parts);
    const transfers = await createTransfers(base, await openEngine(parts));
    return { ...transfers, [Symbol.asyncDispose]: () => scope.close() };
  } catch (error) {
    await scope.close();
    throw error;
  }
}
