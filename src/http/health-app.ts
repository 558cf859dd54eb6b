import type { Log } from "../observe/log.ts";
import type { Metrics } from "../observe/metrics/metrics.ts";
import type { HttpApp } from "./app.ts";
import { DoorLife } from "./door-life.ts";
import { Routes } from "./route.ts";
import {
  addHealth,
  addMetrics,
  addReady,
  type HealthParts,
  type ProcessCounts,
} from "./routes/health/health.ts";

export interface HealthAppOptions {
  readonly parts: HealthParts;
  readonly processes: ProcessCounts;
  /** Undefined: metrics are off. */
  readonly metrics: Metrics | undefined;
  readonly log: Log;
  readonly settings: {
    readonly jsonBytesMax: number;
    readonly healthTimeoutMs: number;
    readonly answerTimeoutMs: number;
  };
}

/** The HTTP door of a worker: `/health`, `/health/ready` and the metrics. There is nothing else, and no key. */
export function createHealthApp({ parts, processes, metrics, log, settings }: HealthAppOptions): HttpApp {
  const keyring = { find: () => undefined };
  const life = new DoorLife();
  const routes = new Routes({ keyring, log, life, settings });
  addHealth(routes);
  addReady(routes, { parts, processes, life, settings });
  addMetrics(metrics, (path, handler) => routes.unlogged(path, handler));
  routes.finish();
  return {
    routes,
    dify: { table: [] },
    fetch: (request, env) => routes.app.fetch(request, env ?? {}),
    makeUnready: () => life.makeUnready(),
    endStreams: () => life.endStreams(),
    [Symbol.dispose]: () => life[Symbol.dispose](),
  };
}
