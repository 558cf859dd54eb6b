/**
 * Session → breaker → least loaded Runtime → Transport → ordered events → exactly one terminal event. A warm call is
 * synchronous up to the written line and asks neither database nor Redis.
 */
import { randomUUID } from "node:crypto";
import { Fault, toFault } from "../domain/fault.ts";
import type { Invocation, InvocationRequest, InvocationSink } from "../domain/invocation.ts";
import type { Log } from "../observe/log.ts";
import type { RuntimeDirectory } from "../runtime/runtimes.ts";
import type { HostCalls } from "./host-calls.ts";
import type { InstallationDirectory, InstalledPlugin } from "./installations.ts";
import { formatRequestLine } from "./request-line.ts";
import { Session, type SessionSettings } from "./session.ts";

export interface InvokerSettings extends SessionSettings {
  /** Open Invocations may end by themselves for so long when the invoker is closed. */
  readonly drainMs: number;
  /** A call to what is not known to serve waits so long for a look at the Store, then for none. */
  readonly refreshTimeoutMs: number;
}

export interface InvokerOptions {
  readonly installations: InstallationDirectory;
  readonly runtimes: RuntimeDirectory;
  readonly hostCalls: HostCalls;
  readonly log: Log;
  readonly settings: InvokerSettings;
}

/** Disposing refuses new Invocations with `shutting_down` and lets open ones end, for `drainMs` at most. */
export interface Invoker extends AsyncDisposable {
  /** Never throws: every refusal and failure is the sink's terminal event. */
  invoke(request: InvocationRequest, sink: InvocationSink): Invocation;
  /** Ends what is open with `shutting_down`, and refuses new Invocations. */
  endAll(): void;
  /** Resolves when what the Store holds of Installations now is in force here. */
  refresh(): Promise<void>;
  /** Sessions whose place in a breaker or a queue is taken. */
  readonly openSessions: number;
}

export function createInvoker(options: InvokerOptions): Invoker {
  return new SessionInvoker(options);
}

const NOTHING_TO_DETACH: Invocation = { detach: () => undefined };

class SessionInvoker implements Invoker {
  readonly #options: InvokerOptions;
  readonly #sessions = new Set<Session>();
  readonly #deps;
  #drained: (() => void) | undefined;
  #isClosing = false;

  constructor(options: InvokerOptions) {
    this.#options = options;
    const { runtimes, hostCalls, log, settings } = options;
    this.#deps = {
      ...{ runtimes, hostCalls, log, settings },
      onGone: (session: Session) => this.#onGone(session),
      locate: (plugin: InstalledPlugin) => this.#locate(plugin),
    };
    hostCalls.connect((request, sink, depth) => this.#invoke(request, sink, depth), options.installations);
  }

  get openSessions(): number {
    return this.#sessions.size;
  }

  invoke(request: InvocationRequest, sink: InvocationSink): Invocation {
    return this.#invoke(request, sink, 0);
  }

  refresh(): Promise<void> {
    return this.#options.installations.refresh();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosing = true;
    if (this.#sessions.size === 0) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#drained = resolve;
    const cap = setTimeout(resolve, this.#options.settings.drainMs);
    await promise;
    clearTimeout(cap);
    this.endAll();
  }

  endAll(): void {
    this.#isClosing = true;
    const fault = new Fault("shutting_down", "Berth is stopping and could not wait for the call any longer.");
    for (const session of this.#sessions) session.abandon(fault);
  }

  #invoke(request: InvocationRequest, sink: InvocationSink, depth: number): Invocation {
    if (this.#isClosing) return this.#refuse(request, sink, new Fault("shutting_down", "Berth is stopping."));
    const plugin = this.#options.installations.find(request.tenantId, request.pluginId);
    if (plugin === undefined || !isServing(plugin)) return this.#invokeAfterRefresh(request, sink, depth);
    return this.#start(plugin, request, sink, depth);
  }

  /** What is not known, or not ready, may have become so since the last poll: one look at the Store before refusing. */
  #invokeAfterRefresh(request: InvocationRequest, sink: InvocationSink, depth: number): Invocation {
    let detached = false;
    let hasGoneOn = false;
    let started: Invocation | undefined;
    const { installations, settings } = this.#options;
    const goOn = () => {
      if (detached || hasGoneOn) return;
      hasGoneOn = true;
      clearTimeout(cap);
      const plugin = installations.find(request.tenantId, request.pluginId);
      if (this.#isClosing)
        started = this.#refuse(request, sink, new Fault("shutting_down", "Berth is stopping."));
      else if (plugin === undefined) started = this.#refuse(request, sink, this.#notInstalled(request));
      else if (!isServing(plugin)) started = this.#refuse(request, sink, notServing(plugin));
      else started = this.#start(plugin, request, sink, depth);
    };
    // without the Store, or with one that is silent, the answer comes from what is known
    const cap = setTimeout(goOn, settings.refreshTimeoutMs);
    installations.refresh().then(goOn, goOn);
    return {
      detach: () => {
        detached = true;
        started?.detach();
      },
    };
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
      return this.#refuse(request, sink, toFault(error));
    }
    const session = new Session(this.#deps, { id, request, plugin, poolKey, line, sink, depth });
    this.#sessions.add(session);
    session.begin();
    return session;
  }

  async #locate({ installation: { tenantId, pluginId } }: InstalledPlugin): Promise<string> {
    const { installations } = this.#options;
    // without the Store, what is known has to do
    await installations.refresh().catch(() => undefined);
    const plugin = installations.find(tenantId, pluginId);
    if (plugin === undefined) throw this.#notInstalled({ tenantId, pluginId });
    if (!isServing(plugin)) throw notServing(plugin);
    return plugin.installation.poolKey ?? "";
  }

  #refuse(request: InvocationRequest, sink: InvocationSink, fault: Fault): Invocation {
    this.#options.log[fault.rule.log]({
      op: "invocation.invoke",
      ok: false,
      code: fault.code,
      type: request.operation.type,
      action: request.operation.action,
      plugin: request.pluginId,
      tenant_id: request.tenantId,
      request_id: request.requestId,
      ...(fault.code === "internal" && { err: fault }),
    });
    sink.end({ ok: false, fault });
    return NOTHING_TO_DETACH;
  }

  #onGone(session: Session): void {
    this.#sessions.delete(session);
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

/** In `crash_loop` the Pool itself refuses, with its cause: it may have been restarted since. */
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
