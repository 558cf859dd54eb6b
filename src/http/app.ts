/** The native HTTP door, `/v1`: every route, the OpenAPI document, and what is answered where there is none. */
import type { LimitsPolicy } from "../domain/limits.ts";
import type { InstallationRequests, PackageUploads, TaskWatch } from "../installation/contracts.ts";
import type { Invoker } from "../invocation/invoke.ts";
import type { Keyring } from "../keys/keyring.ts";
import type { Log } from "../observe/log.ts";
import type { RuntimeLogs } from "../runtime/runtimes.ts";
import type { Store } from "../store/store.ts";
import { PingHub } from "./ping-hub.ts";
import { Routes } from "./route.ts";
import { addHealth } from "./routes/health/live.ts";
import { addReady, type HealthParts, type ProcessCounts } from "./routes/health/ready.ts";
import { addCreateInstallation } from "./routes/installations/create.ts";
import { addGetInstallation } from "./routes/installations/get.ts";
import { addListInstallations } from "./routes/installations/list.ts";
import { addInstallationLogs } from "./routes/installations/logs.ts";
import { addRemoveInstallation } from "./routes/installations/remove.ts";
import { addInvoke, type InvokeSettings } from "./routes/invocations/invoke.ts";
import { addCreateKey } from "./routes/keys/create.ts";
import { addListKeys } from "./routes/keys/list.ts";
import { addRevokeKey } from "./routes/keys/revoke.ts";
import { addGetPackage } from "./routes/packages/get.ts";
import { addListPackages } from "./routes/packages/list.ts";
import { addUploadPackage } from "./routes/packages/upload.ts";
import { addTaskEvents } from "./routes/tasks/events.ts";
import { addGetTask } from "./routes/tasks/get.ts";
import { addListTasks } from "./routes/tasks/list.ts";

export interface HttpAppSettings extends InvokeSettings {
  readonly version: string;
  /** JSON bodies of control routes at most. */
  readonly jsonBytesMax: number;
  /** A comment line goes out on quiet streams this often. */
  readonly pingMs: number;
  /** What `/health/ready` waits for each part. */
  readonly healthTimeoutMs: number;
}

export interface HttpAppOptions {
  readonly uploads: PackageUploads;
  readonly requests: InstallationRequests;
  readonly taskWatch: TaskWatch;
  readonly store: Store;
  readonly invoker: Invoker;
  readonly logs: RuntimeLogs;
  readonly keyring: Keyring;
  readonly limitsPolicy: LimitsPolicy;
  /** What must answer for the process to be ready. */
  readonly parts: HealthParts;
  readonly processes: ProcessCounts;
  readonly log: Log;
  readonly settings: HttpAppSettings;
}

export interface HttpApp extends Disposable {
  fetch(request: Request, env?: unknown): Promise<Response> | Response;
  /** Ends the streams of control routes; open Invocations are the invoker's to end. */
  [Symbol.dispose](): void;
}

export function createHttpApp(options: HttpAppOptions): HttpApp {
  const { keyring, log, settings } = options;
  const stop = new AbortController();
  const pings = new PingHub(settings.pingMs);
  const routes = new Routes({ keyring, log, signal: stop.signal, settings });
  addUploadPackage(routes, options);
  addListPackages(routes, options);
  addGetPackage(routes, options);
  addCreateInstallation(routes, options);
  addListInstallations(routes, options);
  addGetInstallation(routes, options);
  addRemoveInstallation(routes, options);
  addInstallationLogs(routes, options);
  addListTasks(routes, options);
  addGetTask(routes, options);
  addTaskEvents(routes, options);
  addInvoke(routes, { invoker: options.invoker, pings, settings });
  addCreateKey(routes, options);
  addListKeys(routes, options);
  addRevokeKey(routes, options);
  addHealth(routes);
  addReady(routes, options);
  routes.on("get", "/openapi.json", () => Response.json(describe(routes, settings.version)));
  routes.finish();
  return {
    fetch: (request, env) => routes.app.fetch(request, env ?? {}),
    [Symbol.dispose]() {
      stop.abort(new Error("the process stops"));
      pings[Symbol.dispose]();
    },
  };
}

function describe({ app }: Routes, version: string): object {
  app.openAPIRegistry.registerComponent("securitySchemes", "key", {
    type: "http",
    scheme: "bearer",
    description: "The admin key, or a key made over /v1/keys",
  });
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: {
      title: "Berth",
      version,
      description:
        "Every refusal of input names the field, its value and what is accepted. `/v1` only grows.",
    },
  });
}
