import type { Log } from "../observe/log.ts";
import type { HttpApp } from "./app.ts";
import { Routes } from "./route.ts";
import { addHealth } from "./routes/health/live.ts";
import { addReady, type HealthParts, type ProcessCounts } from "./routes/health/ready.ts";

export interface HealthAppOptions {
  readonly parts: HealthParts;
  readonly processes: ProcessCounts;
  readonly log: Log;
  readonly settings: { readonly jsonBytesMax: number; readonly healthTimeoutMs: number };
}

/** The door of a process without an API: `/health` and `/health/ready`, no key opens anything else. */
export function createHealthApp({ parts, processes, log, settings }: HealthAppOptions): HttpApp {
  const keyring = { find: () => undefined };
  const stop = new AbortController();
  const routes = new Routes({ keyring, log, signal: stop.signal, settings });
  addHealth(routes);
  addReady(routes, { parts, processes, settings });
  routes.finish();
  return {
    fetch: (request, env) => routes.app.fetch(request, env ?? {}),
    [Symbol.dispose]: () => stop.abort(new Error("the process stops")),
  };
}
