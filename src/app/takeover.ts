import { adoptRows } from "../installation/takeover/adopt-rows.ts";
import { startTakeover } from "../installation/takeover/takeover.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { createIntake } from "./intake.ts";
import { takeoverSettings } from "./settings.ts";

/** Adopts an earlier daemon's installations before any request is answered, so that every list is complete. */
export async function adoptBefore({ store, log, config }: Base): Promise<void> {
  const { pageRows } = takeoverSettings(config);
  await adoptRows({ store, log, limits: config.limits.defaults, pageRows });
}

/** Makes them ready in the background. */
export async function startTakeoverWork(base: Base): Promise<void> {
  const { config, log, scope, store, queue, packages, reader, trust } = base;
  scope.use(
    await startTakeover({
      store,
      queue,
      packages,
      reader,
      trust,
      log,
      clock: systemClock,
      requests: createIntake(base).requests,
      limits: config.limits,
      platformVersion: config.settings.BERTH_PLATFORM_VERSION,
      settings: takeoverSettings(config),
    }),
  );
}
