import type { Limits } from "../../domain/limits.ts";
import type { Log } from "../../observe/log.ts";
import type { Store } from "../../store/store.ts";

interface AdoptRowsDeps {
  readonly store: Pick<Store, "takeover">;
  readonly log: Log;
  /** Limits of an installation until its package has been read. */
  readonly limits: Limits;
  /** Rows in one transaction. */
  readonly pageRows: number;
}

/**
 * Takes over every installation of dify-plugin-daemon that Berth does not have yet; answers how many. Once this resolves,
 * each has its row and its task, and appears in every list. Repeated, also by several processes at once, it changes
 * nothing. Logs once what was taken over and what stays as it is.
 */
export async function adoptRows(deps: AdoptRowsDeps): Promise<number> {
  const { store, log, limits, pageRows } = deps;
  const sums = { installations: 0, countsMended: 0, endpointCountsMended: 0 };
  let last: string | undefined;
  do {
    const page = await store.takeover.adopt({ after: last, limit: pageRows, limits });
    sums.installations += page.installations;
    sums.countsMended += page.countsMended;
    sums.endpointCountsMended += page.endpointCountsMended;
    last = page.last;
  } while (last !== undefined);
  if (sums.installations > 0) await logAdopted(deps, sums);
  const tasks = await endTasks(store, pageRows);
  if (tasks > 0)
    log.info(
      { op: "takeover.end_tasks", ok: true, tasks },
      "ended the unfinished tasks of dify-plugin-daemon",
    );
  return sums.installations;
}

async function logAdopted({ store, log }: AdoptRowsDeps, sums: object): Promise<void> {
  const { runtimes, incomplete, withoutDeclaration } = await store.takeover.leftAlone();
  log.info(
    { op: "takeover.adopt", ok: true, ...sums, incomplete, withoutDeclaration },
    "took over what dify-plugin-daemon had installed; images are built in the background",
  );
  if (Object.keys(runtimes).length > 0)
    log.warn(
      { op: "takeover.adopt", ok: true, runtimes },
      "installations with another kind of runtime stay as they are",
    );
}

async function endTasks({ takeover }: Pick<Store, "takeover">, pageRows: number): Promise<number> {
  let tasks = 0;
  for (;;) {
    const ended = await takeover.endDaemonTasks(pageRows);
    tasks += ended;
    if (ended < pageRows) return tasks;
  }
}
