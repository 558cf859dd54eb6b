/**
 * Where a Berth is killed: 50 points, recorded once from whole runs by `fixtures/kill-points.ts`. Those of a task are
 * writes, to PostgreSQL or to the engine, counted from the request that begins it; what is written by the clock (leases,
 * heartbeats) is left out. That of a call is how much of its answer the caller has.
 */
export interface WritePoint {
  /** As the recorder names it. */
  readonly write: string;
  readonly nth: number;
  readonly when: "before" | "after";
}

function points(...lines: readonly string[]): readonly WritePoint[] {
  return lines.map((line) => {
    const [, when, write = "", nth] = /^(before|after) (.+?)(?: #(\d+))?$/.exec(line) ?? [];
    return { when: when === "after" ? "after" : "before", write, nth: Number(nth ?? 1) };
  });
}

const STEP = "store UPDATE berth_tasks state";
const CLAIM = "store UPDATE berth_tasks holder,attempt,updated_at,lease_expires_at";
const END = "store UPDATE berth_tasks state,cause,holder,lease_expires_at,updated_at,finished_at";
const READY = "store UPDATE berth_runtimes state,ready_at,2";
const IMAGE_READY = "store UPDATE berth_images state,image_ref,bytes,warnings,holder,lease_expires_at";

export const KILL_POINTS = {
  install: points(
    // it is accepted, and taken
    ...["before store INSERT INTO berth_installations", "before store INSERT INTO berth_events"],
    `before ${CLAIM}`,
    // from step to step: fetching, verifying, resolving, building, starting
    ...[`before ${STEP} #1`, `before ${STEP} #2`, `before ${STEP} #3`, `before ${STEP} #4`],
    ...[`after ${STEP} #4`, `before ${STEP} #5`, `after ${STEP} #5`],
    // the image: its build container is made, filled, started, committed, removed
    ...["after engine POST /containers/create", "after engine PUT /containers/ID/archive"],
    ...["before engine POST /containers/ID/start", "after engine POST /containers/ID/start"],
    ...["before engine POST /commit", "after engine POST /commit", "before engine DELETE /containers/ID"],
    `before ${IMAGE_READY}`,
    // the pool and its runtime
    ...["before store INSERT INTO berth_pools", "after store INSERT INTO berth_runtimes"],
    ...["before engine POST /containers/create #2", "after engine POST /containers/create #2"],
    "after engine POST /containers/ID/start #2",
    `before ${READY}`,
    // the platform's rows, and the end
    ...["before store INSERT INTO plugins", `after ${END}`],
  ),
  upgrade: points(
    ...["before store INSERT INTO berth_events", `before ${CLAIM}`, `before ${STEP} #4`, `after ${STEP} #5`],
    ...["after engine POST /commit", "before store UPDATE berth_installations next_pool_key"],
    ...["after engine POST /containers/create #2", "after engine POST /containers/ID/start #2"],
    ...["after store UPDATE berth_installations pool_key,next_pool_key", `after ${END}`],
  ),
  uninstall: points(
    ...[
      "before store UPDATE berth_installations desired,state,cause",
      "before store INSERT INTO berth_events",
    ],
    ...["before engine POST /containers/ID/stop", "after engine POST /containers/ID/stop"],
    ...["before engine DELETE /containers/ID", "after engine DELETE /containers/ID"],
    ...["before store DELETE FROM berth_pools", "before store DELETE FROM berth_installations"],
    `before ${END}`,
  ),
  /** Items of the answer that the caller has. */
  call: [0, 1, 2, 4, 7],
} as const;
