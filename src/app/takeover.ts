import { adoptRows } from "../installation/takeover/adopt-rows.ts";
import { startTakeover } from "../installation/takeover/takeover.ts";
import { systemClock } from "../util/clock.ts";
import type { Base } from "./base.ts";
import { createIntake } from "./intake.ts";
import { takeoverSettings } from "./settings.ts";

/** What an earlier daemon had installed is Berth's before anybody can ask: every list is complete from the start. */
export async function adoptBefore({ store, log, config }: Base): Promise<void> {
  const { pageRows } = takeoverSettings(config);
  await adoptRows({ store, log, limits: config.limits.defaults, pageRows });
}

/** Makes it ready, beside all else. */
export async function startTakeoverWork(base: Base): Promise<void> {
  const { config, log, scope, store, queue, packages, reader, trust } = base;
  scope.use(
    await startTakeover({
      ...{ store, queue, packages, reader, trust, log, clock: systemClock },
      requests: createIntake(base).requests,
      limits: config.limits,
      platformVersion: config.settings.BERTH_PLATFORM_VERSION,
      settings: takeoverSettings(config),
    }),
  );
}
