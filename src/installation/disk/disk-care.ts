import type { Actor } from "../../domain/audit.ts";
import { Fault } from "../../domain/fault.ts";
import type { Queue } from "../../queue/queue.ts";
import type { DiskRun, DiskRunKind } from "../../store/contracts/disk.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import type { Clock } from "../../util/clock.ts";
import { DISK_TOPICS } from "../task-engine/topics.ts";

/** The HTTP side of disk reports and collections: a request is a row, and a worker answers it. */
export interface DiskCare {
  /** Reports on every area. Throws `answer_timeout` where no worker answers within `waitMs`. */
  report(signal: AbortSignal): Promise<DiskRun>;
  /** Accepts a collection, and answers its run: finished, or still running after `waitMs`. */
  collect(options: { readonly dryRun: boolean; readonly by?: Actor }, signal: AbortSignal): Promise<DiskRun>;
  find(id: string): Promise<DiskRun | undefined>;
}

export interface DiskCareDeps {
  readonly store: Pick<Store, "disk">;
  readonly queue: Pick<Queue, "publish" | "subscribe">;
  readonly clock: Clock;
  readonly settings: {
    /** How long a request waits for its answer, and how often it reads the row where no notification arrives. */
    readonly waitMs: number;
    readonly pollMs: number;
  };
}

export function createDiskCare(deps: DiskCareDeps): DiskCare {
  return {
    report: async (signal) => {
      const run = await ask(deps, { kind: "report" }, signal);
      if (run.finishedAt !== undefined) return run;
      throw new Fault(
        "answer_timeout",
        `No worker reported on the disk within ${deps.settings.waitMs} ms; is one running?`,
      );
    },
    collect: ({ dryRun, by }, signal) =>
      ask(deps, { kind: dryRun ? "dry_run" : "collect", ...(by === undefined ? {} : { by }) }, signal),
    find: (id) => deps.store.disk.runs.find(id),
  };
}

async function ask(
  { store, queue, clock, settings }: DiskCareDeps,
  { kind, by }: { readonly kind: DiskRunKind; readonly by?: Actor },
  signal: AbortSignal,
): Promise<DiskRun> {
  const bell = new Bell();
  const until = clock.now() + settings.waitMs;
  // The subscription only makes it faster: the row has the answer.
  const listening = await queue.subscribe(DISK_TOPICS.answered, () => bell.ring()).catch(() => undefined);
  try {
    const asked = await store.disk.runs.ask(kind, by);
    await queue.publish(DISK_TOPICS.asked, asked.id).catch(() => undefined);
    for (;;) {
      const run = (await store.disk.runs.find(asked.id)) ?? asked;
      if (run.finishedAt !== undefined || clock.now() >= until) return run;
      await bell.wait(clock, settings.pollMs, signal);
    }
  } finally {
    await listening?.[Symbol.asyncDispose]();
  }
}

/** The Fault of a run that failed. */
export function faultOf({ cause }: DiskRun): Fault | undefined {
  if (cause === undefined) return undefined;
  return new Fault(cause.code, cause.message, cause.details === undefined ? {} : { details: cause.details });
}
