/** All HTTP routes of a process with an API, its OpenAPI document, and the answer where no route matches. */
import { createHooks } from "../endpoint/hooks/serve-hook.ts";
import type { Log } from "../observe/log.ts";
import { faultResponse } from "./answers/fault-response.ts";
import { PingHub } from "./answers/sse.ts";
import { BodyReader } from "./bodies/body-reader.ts";
import { DifyDoor } from "./dify/door.ts";
import { addHealthCheck, type ServerLoad } from "./dify/health-check.ts";
import { addDify } from "./dify/routes.ts";
import { DoorLife } from "./door-life.ts";
import { requestId } from "./env.ts";
import { addHooks } from "./hooks/hooks.ts";
import { hookAddress, unstorable } from "./middleware/storable-url.ts";
import { openApiDocument } from "./openapi.ts";
import type { HttpAppOptions } from "./options.ts";
import { Routes } from "./route.ts";
import { addGetBundle, addListBundles, addRemoveBundle } from "./routes/bundles/bundles.ts";
import { addUploadBundle } from "./routes/bundles/upload.ts";
import { addChangeCredentials } from "./routes/credentials/change.ts";
import { addReadCredentials } from "./routes/credentials/read.ts";
import { addDiskCollect, addDiskReport } from "./routes/disk/disk.ts";
import { addDoctorReport } from "./routes/doctor/report.ts";
import { addChangeEndpoints } from "./routes/endpoints/change.ts";
import { addCreateEndpoint } from "./routes/endpoints/create.ts";
import { addReadEndpoints } from "./routes/endpoints/read.ts";
import { addListEvents, addListTenantEvents } from "./routes/events/list.ts";
import { addHealth, addMetrics, addReady } from "./routes/health/health.ts";
import { addChanges } from "./routes/installations/changes.ts";
import { addCreateInstallation } from "./routes/installations/create.ts";
import { addInstallationEgress } from "./routes/installations/egress.ts";
import { addGetInstallation } from "./routes/installations/get.ts";
import { addListInstallations } from "./routes/installations/list.ts";
import { addInstallationLogs } from "./routes/installations/logs.ts";
import { addInstallationPermissions } from "./routes/installations/permissions.ts";
import { addRemoveInstallation } from "./routes/installations/remove.ts";
import { addInstallationRuntimes } from "./routes/installations/runtimes.ts";
import { addInstallationVariables } from "./routes/installations/variables.ts";
import { addInvoke } from "./routes/invocations/invoke.ts";
import { addCreateKey, addListKeys, addRevokeKey } from "./routes/keys/keys.ts";
import { addPackageAsset } from "./routes/packages/asset.ts";
import { addGetPackage } from "./routes/packages/get.ts";
import { addListPackages } from "./routes/packages/list.ts";
import { addPackagePrivacy, addPackageReadme } from "./routes/packages/texts.ts";
import { addUploadPackage } from "./routes/packages/upload.ts";
import { addListProviders } from "./routes/providers/list.ts";
import { addListTools } from "./routes/providers/tools.ts";
import { addTakeover } from "./routes/takeover/progress.ts";
import { addCancelTask } from "./routes/tasks/cancel.ts";
import { addTaskEvents } from "./routes/tasks/events.ts";
import { addGetTask } from "./routes/tasks/get.ts";
import { addListTasks } from "./routes/tasks/list.ts";
import { addDebuggingKey } from "./routes/tenants/debugging-key.ts";
import { addTenantQuotas } from "./routes/tenants/quotas.ts";
import { addGetTenant, addListTenants } from "./routes/tenants/read.ts";
import { addRemoveTenant } from "./routes/tenants/remove.ts";
import { addTenantSettings } from "./routes/tenants/settings.ts";
import { addExportPackage } from "./routes/transfer/export.ts";
import { addImportPackage } from "./routes/transfer/import.ts";
import { addTrust } from "./routes/trust/routes.ts";

/** The routes of a process, for the listener, with the steps of their stop. Disposing it is the last step. */
export interface HttpApp extends Disposable {
  /** Routes and who may use them: the table behind authorisation and the OpenAPI document. */
  readonly routes: Pick<Routes, "table" | "served">;
  /** The same for the Dify door; empty in a process without an API. */
  readonly dify: Pick<DifyDoor, "table">;
  fetch(request: Request, env?: unknown): Promise<Response> | Response;
  /** Called once by the listener, with the counts of open connections and requests. */
  watch?(load: ServerLoad): void;
  /** From now on `/health/ready` answers 503; nothing else changes. */
  makeUnready(): void;
  /** Ends streams of control routes with an `error` event, `shutting_down`: they might never end otherwise. */
  endStreams(): void;
  /** Ends what is still under way with `shutting_down`: calls with their terminal event, other requests with 503. */
  [Symbol.dispose](): void;
}

export function createHttpApp(options: HttpAppOptions): HttpApp {
  const { keyring, log, settings } = options;
  const life = new DoorLife();
  const pings = new PingHub(settings.pingMs);
  const routes: Routes = new Routes({
    keyring,
    log,
    life,
    settings,
    notFound: (c) => dify.notFound(c),
  });
  const dify = new DifyDoor({ routes, life, log, settings: { ...settings, ...settings.dify } });
  const bodies = new BodyReader(settings);
  addNative(routes, { ...options, life, pings, bodies });
  addHooks(dify, {
    hooks: createHooks({ ...options, endpoints: options.endpointDirectory }),
    life,
    log,
    settings,
  });
  addMetrics(options.metrics, (path, handler) => dify.on({ method: "GET", path, gate: "open" }, handler));
  const load = createLoad(options);
  if (settings.dify.key !== undefined) addHealthCheck(dify, load);
  addDify(dify, { ...options, pings, bodies });
  routes.unlogged("/openapi.json", () => Response.json(openApiDocument(routes.app, settings.version)));
  routes.finish();
  return {
    routes,
    dify,
    fetch: (request, env) => refuseUnstorable(request, dify, log) ?? routes.app.fetch(request, env ?? {}),
    watch: load.watch,
    makeUnready: () => life.makeUnready(),
    endStreams: () => life.endStreams(),
    [Symbol.dispose]() {
      life[Symbol.dispose]();
      bodies[Symbol.dispose]();
      options.invoker.endAll();
      pings[Symbol.dispose]();
    },
  };
}

/** Refuses before any route an address that no database can store. Of a hook's address only the hook id is checked. */
function refuseUnstorable({ url, headers, method }: Request, dify: DifyDoor, log: Log): Response | undefined {
  if (!url.includes("%")) return undefined;
  const target = url.slice(url.indexOf("/", url.indexOf("://") + 3));
  const fault = unstorable(hookAddress(target) ?? target);
  if (fault === undefined) return undefined;
  const id = requestId(headers.get("x-request-id") ?? undefined);
  const { code, rule } = fault;
  log.info({ op: "http.request", ok: false, code, method, status: rule.status, request_id: id });
  return dify.refusePath(target, fault, id) ?? faultResponse(fault, id);
}

/** Open calls and requests of this process, for `/metrics` and `/health/check`; zero before the listener starts. */
function createLoad({ invoker, metrics, settings }: HttpAppOptions) {
  let watched: ServerLoad | undefined;
  const calls = () => invoker.openSessions;
  metrics?.gauge("berth_calls_open", "Calls of plugins that run or wait", calls);
  metrics?.gauge("berth_http_requests_open", "Requests under way", () => watched?.requests ?? 0);
  return {
    calls,
    version: settings.version,
    load: () => watched,
    watch(load: ServerLoad) {
      watched = load;
    },
  };
}

/** The native API's routes, in the order in which they are matched. */
function addNative(
  routes: Routes,
  options: HttpAppOptions & {
    readonly life: DoorLife;
    readonly pings: PingHub;
    readonly bodies: BodyReader;
  },
): void {
  addUploadPackage(routes, options);
  addListPackages(routes, options);
  // before the route of a package itself, which matches any number of slashes
  addPackageAsset(routes, options);
  addPackageReadme(routes, options);
  addPackagePrivacy(routes, options);
  addGetPackage(routes, options);
  addUploadBundle(routes, options);
  addListBundles(routes, options);
  addGetBundle(routes, options);
  addRemoveBundle(routes, options);
  addExportPackage(routes, options);
  addImportPackage(routes, options);
  addCreateInstallation(routes, options);
  addListInstallations(routes, options);
  addGetInstallation(routes, options);
  addRemoveInstallation(routes, options);
  addInstallationLogs(routes, options);
  addInstallationRuntimes(routes, options);
  addChanges(routes, options);
  addListProviders(routes, options);
  addListTools(routes, options);
  addListTasks(routes, options);
  addGetTask(routes, options);
  addTaskEvents(routes, options);
  addCancelTask(routes, options);
  addInvoke(routes, options);
  addCreateEndpoint(routes, options);
  addReadEndpoints(routes, options);
  addChangeEndpoints(routes, options);
  addCreateKey(routes, options);
  addListKeys(routes, options);
  addRevokeKey(routes, options);
  addListTenants(routes, options);
  addGetTenant(routes, options);
  addRemoveTenant(routes, options);
  addTenantSettings(routes, options);
  addDebuggingKey(routes, options);
  addInstallationEgress(routes, options);
  addInstallationVariables(routes, options);
  addInstallationPermissions(routes, options);
  addChangeCredentials(routes, options);
  addReadCredentials(routes, options);
  addTenantQuotas(routes, options);
  addListEvents(routes, options);
  addListTenantEvents(routes, options);
  addDiskReport(routes, options);
  addDiskCollect(routes, options);
  addDoctorReport(routes, options);
  addTakeover(routes, options);
  addTrust(routes, options);
  addHealth(routes);
  addReady(routes, options);
}
