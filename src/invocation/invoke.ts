/**
 * Session → call limiter → least loaded runtime → transport → ordered events → exactly one terminal event. A warm call
 * is synchronous up to the written line and needs neither database nor Redis.
 */
import { randomUUID } from "node:crypto";
import { Fault, toFault } from "../domain/fault.ts";
import type { TenantId } from "../domain/ids.ts";
import type { Invocation, InvocationRequest, InvocationSink } from "../domain/invocation.ts";
import type { Log } from "../observe/log.ts";
import type { RuntimeDirectory } from "../runtime/runtimes.ts";
import type { Clock } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { waitOrAbort } from "../util/wait.ts";
import type { BuildPriority } from "./build-priority.ts";
import { BuildWaits } from "./build-waits.ts";
import type { HostCalls } from "./host-calls/host-calls.ts";
import type { InstallationDirectory, InstalledPlugin } from "./installation-directory.ts";
import { formatRequestLine } from "./request-line.ts";
import { Session, type SessionSettings } from "./session.ts";
import { TenantCalls } from "./tenant-calls.ts";

export interface InvokerSettings extends SessionSettings {
  /** How long open calls may drain when the invoker is closed. */
  readonly drainMs: number;
  /** How long a call to a plugin that is not known to serve waits for a fresh read of the store. */
  readonly refreshTimeoutMs: number;
  /** Calls that may wait for the image of one installation of an earlier daemon. */
  readonly buildWaitersMax: number;
}

export interface InvokerOptions {
  readonly installations: InstallationDirectory;
  readonly runtimes: RuntimeDirectory;
  readonly hostCalls: HostCalls;
  readonly buildPriority: BuildPriority;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: InvokerSettings;
}

/** Disposing refuses new calls with `shutting_down` and drains open ones for at most `drainMs`. */
export interface Invoker extends AsyncDisposable {
  /**
   * Undefined where the plugin serves, as far as this process knows. Otherwise resolves once it serves: after a read of
   * the store and, for a plugin of an earlier daemon, after its image is built. Rejects with the fault that `invoke`
   * would end with. For doors that refuse before they read a body. The signal ends the wait for an image.
   */
  admit(plugin: PluginName, signal?: AbortSignal): Promise<void> | undefined;
  /** Never throws: every refusal and failure is the sink's terminal event. */
  invoke(request: InvocationRequest, sink: InvocationSink): Invocation;
  /** Ends open calls with `shutting_down`, and refuses new ones. */
  endAll(): void;
  /** Resolves when the store's current installations are known here. */
  refresh(): Promise<void>;
  /** What this process knows of a tenant's plugin, from memory. */
  find(tenantId: TenantId, pluginId: string): InstalledPlugin | undefined;
  /** Calls of a tenant that run or wait in this process. */
  callsOf(tenantId: TenantId): number;
  /** Sessions that run or wait in a call limiter. */
  readonly openSessions: number;
}

/** Which plugin of which tenant. */
export interface PluginName extends Pick<InvocationRequest, "tenantId" | "pluginId"> {
  /** If given, only this version may answer; another one counts as not running. */
  readonly identifier?: string;
}

export function createInvoker(options: InvokerOptions): Invoker {
  return new SessionInvoker(options);
}

/** Time kept for the answer to reach a caller whose own timeout equals the deadline. */
const ANSWER_MS = 5000;
const NOTHING_TO_DETACH: Invocation = { detach: () => undefined };

class SessionInvoker implements Invoker {
  readonly #options: InvokerOptions;
  readonly #sessions = new Set<Session>();
  readonly #deps;
  readonly #builds: BuildWaits;
  readonly #calls: TenantCalls;
  readonly #closing = new AbortController();
  #drained: (() => void) | undefined;
  #isClosing = false;

  constructor(options: InvokerOptions) {
    this.#options = options;
    const { runtimes, hostCalls, log, settings } = options;
    this.#deps = {
      runtimes,
      hostCalls,
      log,
      settings,
      onEnded: (session: Session) => this.#onEnded(session),
      openSessions: () => this.#sessions.size,
      locate: (plugin: InstalledPlugin) => this.#locate(plugin),
    };
    const { installations, buildPriority, clock } = options;
    this.#calls = new TenantCalls((tenantId) => installations.callsQuotaOf(tenantId));
    this.#builds = new BuildWaits({
      installations,
      buildPriority,
      clock,
      waitersMax: settings.buildWaitersMax,
    });
    hostCalls.connect((request, sink, depth) => this.#invoke(request, sink, depth), options.installations);
  }

  get openSessions(): number {
    return this.#sessions.size;
  }

  callsOf(tenantId: TenantId): number {
    return this.#calls.openOf(tenantId);
  }

  admit(name: PluginName, signal?: AbortSignal): Promise<void> | undefined {
    const plugin = this.#find(name);
    if (plugin !== undefined && isServing(plugin) && !this.#isClosing) return undefined;
    return this.#findServing(name, signal).then(() => undefined);
  }

  invoke(request: InvocationRequest, sink: InvocationSink): Invocation {
    return this.#invoke(request, sink, 0);
  }

  refresh(): Promise<void> {
    return this.#options.installations.refresh();
  }

  find(tenantId: TenantId, pluginId: string): InstalledPlugin | undefined {
    return this.#options.installations.find(tenantId, pluginId);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#close();
    if (this.#sessions.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    using deadline = new Deadline({ clock: this.#options.clock, ms: this.#options.settings.drainMs });
    await waitOrAbort(promise, deadline.signal).catch(() => undefined);
    this.endAll();
  }

  endAll(): void {
    this.#close();
    const fault = new Fault("shutting_down", "Berth stopped before the call was done.");
    for (const session of this.#sessions) session.abandon(fault);
  }

  /** Calls that wait for an image have not begun, so they end at once. */
  #close(): void {
    this.#isClosing = true;
    this.#closing.abort(new Fault("shutting_down", "Berth is stopping."));
  }

  #invoke(request: InvocationRequest, sink: InvocationSink, depth: number): Invocation {
    if (this.#isClosing)
      return this.#refuse(request, sink, depth, new Fault("shutting_down", "Berth is stopping."));
    const plugin = this.#options.installations.find(request.tenantId, request.pluginId);
    if (plugin === undefined || !isServing(plugin)) return this.#invokeAfterRefresh(request, sink, depth);
    return this.#start(plugin, request, sink, depth);
  }

  #invokeAfterRefresh(request: InvocationRequest, sink: InvocationSink, depth: number): Invocation {
    const leaving = new AbortController();
    let started: Invocation | undefined;
    this.#findServing(request, leaving.signal).then(
      ({ plugin, waitedMs }) => {
        if (leaving.signal.aborted) return;
        const timeoutMs = Math.max(1, timeoutOf(plugin, request) - waitedMs);
        started = this.#start(plugin, waitedMs === 0 ? request : { ...request, timeoutMs }, sink, depth);
      },
      (error: unknown) => {
        if (!leaving.signal.aborted) started = this.#refuse(request, sink, depth, toFault(error));
      },
    );
    return {
      detach: () => {
        leaving.abort(new Fault("cancelled", "The caller has left."));
        started?.detach();
      },
    };
  }

  #find({ tenantId, pluginId, identifier }: PluginName): InstalledPlugin | undefined {
    const plugin = this.#options.installations.find(tenantId, pluginId);
    const isAsked = identifier === undefined || plugin?.installation.identifier === identifier;
    return isAsked ? plugin : undefined;
  }

  /**
   * A plugin that is unknown or not ready may have changed since the last poll: reads the store once before refusing.
   */
  async #findServing(
    name: PluginName & Pick<InvocationRequest, "timeoutMs">,
    signal?: AbortSignal,
  ): Promise<{ readonly plugin: InstalledPlugin; readonly waitedMs: number }> {
    await this.#refreshInTime();
    if (this.#isClosing) throw new Fault("shutting_down", "Berth is stopping.");
    const known = this.#find(name);
    const startedAt = performance.now();
    const isBuilding = known?.installation.state === "installing";
    const plugin = isBuilding ? await this.#built(known, name, signal) : known;
    if (plugin === undefined) throw this.#notInstalled(name);
    if (!isServing(plugin)) throw notServing(plugin);
    // the wait for an image counts against the call's deadline
    return { plugin, waitedMs: isBuilding ? Math.round(performance.now() - startedAt) : 0 };
  }

  /** Where the store is unavailable or slow, the answer comes from memory. */
  async #refreshInTime(): Promise<void> {
    const { installations, clock, settings } = this.#options;
    using deadline = new Deadline({ clock, ms: settings.refreshTimeoutMs });
    await waitOrAbort(installations.refresh(), deadline.signal).catch(() => undefined);
  }

  async #built(
    plugin: InstalledPlugin,
    name: PluginName & Pick<InvocationRequest, "timeoutMs">,
    signal = this.#closing.signal,
  ): Promise<InstalledPlugin | undefined> {
    const deadlineMs = timeoutOf(plugin, name);
    // The caller learns the plugin's place in the queue before its own timeout, which may be as long, runs out.
    const timeoutMs = deadlineMs - Math.min(ANSWER_MS, deadlineMs / 10);
    const ending = AbortSignal.any([signal, this.#closing.signal]);
    await this.#builds.wait(plugin, name, { timeoutMs, signal: ending });
    return this.#find(name);
  }

  #start(
    plugin: InstalledPlugin,
    request: InvocationRequest,
    sink: InvocationSink,
    depth: number,
  ): Invocation {
    const id = randomUUID();
    const poolKey = plugin.installation.poolKey ?? "";
    let line: string;
    try {
      line = formatRequestLine(id, request, plugin.catalog);
    } catch (error) {
      return this.#refuse(request, sink, depth, toFault(error));
    }
    const refusal = this.#calls.enter(request.tenantId);
    if (refusal !== undefined) return this.#refuse(request, sink, depth, refusal);
    const session = new Session(this.#deps, { id, request, plugin, poolKey, line, sink, depth });
    this.#sessions.add(session);
    session.begin();
    return session;
  }

  async #locate({ installation: { tenantId, pluginId } }: InstalledPlugin): Promise<string> {
    const { installations } = this.#options;
    // without the store, memory must do
    await installations.refresh().catch(() => undefined);
    const plugin = installations.find(tenantId, pluginId);
    if (plugin === undefined) throw this.#notInstalled({ tenantId, pluginId });
    if (!isServing(plugin)) throw notServing(plugin);
    return plugin.installation.poolKey ?? "";
  }

  #refuse(request: InvocationRequest, sink: InvocationSink, depth: number, fault: Fault): Invocation {
    this.#options.log[fault.rule.log]({
      op: "invocation.invoke",
      ok: false,
      code: fault.code,
      type: request.operation.type,
      action: request.operation.action,
      plugin: request.pluginId,
      tenant_id: request.tenantId,
      request_id: request.requestId,
      depth: depth === 0 ? undefined : depth,
      ...(fault.code === "internal" && { err: fault }),
    });
    sink.end({ ok: false, fault });
    return NOTHING_TO_DETACH;
  }

  #onEnded(session: Session): void {
    if (this.#sessions.delete(session)) this.#calls.leave(session.tenantId);
    if (this.#sessions.size === 0) this.#drained?.();
  }

  #notInstalled({ tenantId, pluginId }: Pick<InvocationRequest, "tenantId" | "pluginId">): Fault {
    const accepted = this.#options.installations
      .listOfTenant(tenantId)
      .map(({ installation }) => installation.pluginId)
      .slice(0, 100);
    return new Fault("installation_not_found", `The tenant has no plugin ${pluginId}.`, {
      details: { field: "plugin", value: pluginId, accepted },
    });
  }
}

function timeoutOf(
  { installation }: InstalledPlugin,
  { timeoutMs }: Pick<InvocationRequest, "timeoutMs">,
): number {
  const grantedMs = installation.limitsGranted.timeoutMs;
  return Math.min(grantedMs, timeoutMs ?? grantedMs);
}

/** In `crash_loop` the pool itself refuses, with its cause: it may have been restarted since the last poll. */
function isServing({ installation: { desired, state, poolKey } }: InstalledPlugin): boolean {
  return desired === "enabled" && poolKey !== undefined && (state === "ready" || state === "crash_loop");
}

function notServing({ installation }: InstalledPlugin): Fault {
  const { pluginId, state, desired, cause } = installation;
  if (desired === "disabled") return new Fault("plugin_disabled", `${pluginId} is disabled.`);
  const shown = desired === "removed" ? "removing" : state;
  return new Fault("plugin_not_ready", `${pluginId} is ${shown}.`, {
    details: { state: shown, ...(cause !== undefined && { cause }) },
  });
}
