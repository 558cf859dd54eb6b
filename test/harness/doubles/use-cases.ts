/**
 * What the HTTP server calls to upload, install and uninstall: canned answers without rows behind them. An install has a
 * queued task that nobody runs.
 */
import { Fault } from "../../../src/domain/fault.ts";
import { type InstallationId, RuntimeId, type TenantId } from "../../../src/domain/ids.ts";
import type { TenantTask } from "../../../src/domain/task.ts";
import type { TrustDecision } from "../../../src/domain/trust.ts";
import type { HttpAppOptions } from "../../../src/http/options.ts";
import type { TenantUse } from "../../../src/installation/tenants.ts";
import { aStoredPackage, IDENTIFIER } from "../builders/a-stored-package.ts";
import { aTask } from "../builders/a-task.ts";
import { anInstallation, LIMITS } from "../builders/an-installation.ts";
import { TENANT } from "../samples/callers.ts";
import type { CannedState } from "./canned-rows.ts";

export interface UninstallSeen {
  readonly id: InstallationId;
  readonly force: boolean;
}

interface UseCaseOptions {
  readonly state: Pick<CannedState, "packages" | "tasks" | "events">;
  /** What was asked for is added here. */
  readonly uninstalled: UninstallSeen[];
  /** Lines of every runtime's log. */
  readonly logs: ((signal: AbortSignal) => AsyncIterable<string>) | undefined;
}

export function cannedUseCases({
  state,
  uninstalled,
  logs = oneLine,
}: UseCaseOptions): Pick<
  HttpAppOptions,
  "logs" | "uploads" | "bundles" | "texts" | "requests" | "tenants" | "taskWatch"
> {
  const nothing = () => Promise.resolve(undefined);
  return {
    logs: {
      async *read(_poolKey, _options, signal) {
        for await (const text of logs(signal)) {
          yield {
            at: new Date(0),
            stream: "stderr",
            runtimeId: RuntimeId.parse("abcdefghij"),
            requestIds: [],
            text,
          };
        }
      },
    },
    uploads: { receive },
    bundles: { receive: () => Promise.reject(new Error("this double takes no bundles")) },
    texts: { asset: nothing, readme: nothing, privacy: nothing },
    requests: requestsTo({ state, uninstalled }),
    tenants: {
      list: () => Promise.resolve({ items: [aTenantUse(TENANT)], nextCursor: undefined }),
      get(id) {
        if (id === TENANT) return Promise.resolve(aTenantUse(id));
        return Promise.reject(new Fault("not_found", `There is no tenant ${id}.`));
      },
      remove: (id) => Promise.resolve({ task: aRemoval(id), created: true }),
    },
    taskWatch: {
      async *events(_id, after) {
        yield* state.events.filter(({ seq }) => seq > after);
      },
    },
  };
}

/** An empty body is no package; one of 7 bytes was there before. */
async function receive(body: AsyncIterable<Uint8Array>) {
  let bytes = 0;
  for await (const piece of body) bytes += piece.length;
  if (bytes === 0) throw new Fault("package_not_zip", "The upload is no zip archive.");
  const limits = { limits: LIMITS, notes: [] };
  return { created: bytes !== 7, stored: aStoredPackage({ bytes }), limits, trust: NOT_ASKED };
}

const NOT_ASKED: TrustDecision = {
  identifier: IDENTIFIER,
  verdict: "unsigned",
  policy: "off",
  policyFrom: "instance",
  decidedAt: new Date(0).toISOString(),
};

function requestsTo({
  state,
  uninstalled,
}: Pick<UseCaseOptions, "state" | "uninstalled">): HttpAppOptions["requests"] {
  const queued = { state: "queued", finishedAt: undefined } as const;
  return {
    install(request) {
      if (!state.packages.some(({ identifier }) => identifier === request.identifier)) {
        return Promise.reject(new Fault("package_not_found", `There is no package ${request.identifier}.`));
      }
      const { permissions = {} } = request;
      const installation = anInstallation({ ...request, permissions, state: "installing" });
      return Promise.resolve({ installation, task: aTask(installation, queued), created: true });
    },
    fetch({ tenantId, source }) {
      const ofTenant = { kind: "fetch", installationId: undefined, identifier: undefined } as const;
      const task = { ...aTask(anInstallation({ tenantId })), ...queued, ...ofTenant, input: { source } };
      return Promise.resolve({ task, created: true });
    },
    bundle: ({ bundle }) => Promise.reject(new Fault("bundle_not_found", `There is no ${bundle}.`)),
    cancel(id) {
      const task = state.tasks.find((it) => it.id === id);
      return task === undefined ? Promise.reject(new Fault("task_not_found", "gone")) : Promise.resolve(task);
    },
    uninstall(id, { force = false } = {}) {
      uninstalled.push({ id, force });
      const installation = anInstallation({ id, state: "removing", desired: "removed" });
      const task = aTask(installation, { kind: "uninstall" });
      return Promise.resolve({ installation, task, created: true });
    },
  };
}

function aTenantUse(id: TenantId): TenantUse {
  return {
    id,
    createdAt: new Date(0),
    removingTaskId: undefined,
    installations: { installing: 0, ready: 1, failed: 0, crash_loop: 0, disabled: 0, removing: 0 },
    packages: 2,
    packageBytes: 300,
    keys: 1,
    runtimes: 1,
    storageBytes: 40,
  };
}

function aRemoval(tenantId: TenantId): TenantTask {
  const task = aTask(anInstallation({ tenantId }), { state: "queued", finishedAt: undefined });
  return { ...task, kind: "remove_tenant", installationId: undefined, identifier: undefined };
}

async function* oneLine() {
  yield "hello";
}
