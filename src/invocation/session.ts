/**
 * The host's side of one call, from the wait for a place to the end of the plugin's work.
 *
 * Two ends are distinct. The caller's end is whatever comes first: the plugin's end, an error, a timeout, the caller
 * leaving; the sink gets it once. The session's own end gives its place in the call limiter back. It comes with the
 * plugin's `end`, with the loss of the runtime, or when the granted deadline and the grace period have passed; only
 * that last one retires the runtime.
 *
 * Three clocks: `start` (the wait for a ready runtime), `idle` (the plugin's silence), `total` (from arrival). The idle
 * clock stands still while the plugin waits for a call back.
 */
import { Fault, isFault, toFault } from "../domain/fault.ts";
import type { JsonText, SessionFrame } from "../domain/frame.ts";
import type { TenantId } from "../domain/ids.ts";
import type { InvocationEnd, InvocationRequest, InvocationSink } from "../domain/invocation.ts";
import type { Log } from "../observe/log.ts";
import type { PoolStatus, ReachableRuntime, RuntimeDirectory } from "../runtime/runtimes.ts";
import type { SessionListener } from "../transport/transport.ts";
import { systemClock } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { waitOrAbort } from "../util/wait.ts";
import type { HostCallContext } from "./host-calls/contract.ts";
import type { HostCalls } from "./host-calls/host-calls.ts";
import { OpenHostCalls } from "./host-calls/open-host-calls.ts";
import type { InstalledPlugin } from "./installation-directory.ts";
import { pluginFault } from "./plugin-fault.ts";
import { userOf } from "./request-line.ts";
import { sessionLine } from "./session-line.ts";

/** How long to wait for the state of a plugin that was not ready in time. */
const STATUS_WAIT_MS = 1_000;

export interface SessionSettings {
  /** Longest wait for a ready runtime. */
  readonly startTimeoutMs: number;
  /** Longest silence of the plugin. */
  readonly idleTimeoutMs: number;
  /** Time after the granted deadline before the runtime counts as broken. */
  readonly overrunGraceMs: number;
  /** Bytes that may wait for a slow caller; a single larger frame may, too. */
  readonly callerBufferBytesMax: number;
  /** The same for all callers together, each with an equal share. */
  readonly callersBufferBytesMax: number;
}

export interface SessionDeps {
  readonly runtimes: RuntimeDirectory;
  readonly hostCalls: HostCalls;
  readonly log: Log;
  readonly settings: SessionSettings;
  readonly onEnded: (session: Session) => void;
  /** Including this one. */
  readonly openSessions: () => number;
  /** The pool that serves the installation now. Throws the fault that a new call would get. */
  readonly locate: (plugin: InstalledPlugin) => Promise<string>;
}

export interface SessionInput {
  readonly id: string;
  readonly request: InvocationRequest;
  readonly plugin: InstalledPlugin;
  readonly poolKey: string;
  /** The request as a line of the wire, without a line end. */
  readonly line: string;
  readonly sink: InvocationSink;
  /** How many sessions are above this one: a plugin calls a plugin that calls a plugin. */
  readonly depth: number;
}

/** One per call. It always ends: by plugin, clock, lost runtime, `abandon`, or a caller that leaves before the start. */
export class Session implements SessionListener {
  readonly #deps: SessionDeps;
  readonly #input: SessionInput;
  readonly #startedAt = performance.now();
  readonly #grantedMs: number;
  readonly #totalMs: number;
  #phase: "queued" | "starting" | "open" | "gone" = "queued";
  #poolKey: string;
  #stopWaiting: (() => void) | undefined;
  #runtime: ReachableRuntime | undefined;
  #controller: AbortController | undefined;
  #hostCalls: OpenHostCalls | undefined;
  #timer: NodeJS.Timeout | undefined;
  #timerDueAt = Number.POSITIVE_INFINITY;
  #enteredAt: number | undefined;
  #firstEventAt: number | undefined;
  #lastEventAt = 0;
  #callerEndedAt: number | undefined;
  #outcome: { ok: boolean; code: string | undefined } = { ok: false, code: "cancelled" };
  #items = 0;
  #bytes = 0;

  constructor(deps: SessionDeps, input: SessionInput) {
    this.#deps = deps;
    this.#input = input;
    this.#poolKey = input.poolKey;
    this.#grantedMs = input.plugin.installation.limitsGranted.timeoutMs;
    this.#totalMs = Math.min(this.#grantedMs, input.request.timeoutMs ?? this.#grantedMs);
  }

  get tenantId(): TenantId {
    return this.#input.request.tenantId;
  }

  /** Takes a place or waits for one. Failures go to the sink. */
  begin(): void {
    const { limiter } = this.#input.plugin;
    if (limiter.tryEnter()) {
      this.#entered();
    } else {
      try {
        this.#stopWaiting = limiter.wait(() => this.#entered());
      } catch (busy) {
        this.#leave({ ok: false, fault: toFault(busy) });
      }
    }
    this.#arm();
  }

  /** The caller left: before the plugin got the request this ends everything, afterwards only the caller's part. */
  detach(): void {
    if (this.#callerEndedAt !== undefined) return;
    this.#callerEndedAt = performance.now();
    if (this.#phase === "open") this.#arm();
    else this.#leave();
  }

  /** The process stops: ends the caller's part with the fault, and the session at once. */
  abandon(fault: Fault): void {
    if (this.#phase !== "gone") this.#leave({ ok: false, fault });
  }

  onFrame(frame: SessionFrame, bytes: number): void {
    if (this.#phase !== "open") return;
    this.#lastEventAt = performance.now();
    this.#bytes += bytes;
    switch (frame.type) {
      case "stream":
        this.#onItem(frame.data, bytes);
        break;
      case "invoke":
        this.#deps.hostCalls.serve(frame.call, this.#hostCallContext());
        break;
      case "error":
        this.#endCaller({
          ok: false,
          fault: pluginFault(frame.error, this.#input.plugin.installation.pluginId),
        });
        break;
      case "end":
        this.#leave({ ok: true });
        break;
      default:
        frame satisfies never;
    }
  }

  onLost(fault: Fault): void {
    this.#leave({ ok: false, fault });
  }

  #onItem(data: JsonText, bytes: number): void {
    this.#firstEventAt ??= this.#lastEventAt;
    if (this.#callerEndedAt !== undefined) return;
    const { sink } = this.#input;
    const buffered = sink.bufferedBytes;
    if (buffered > 0 && buffered + bytes > this.#bufferBytesMax()) {
      const bufferBytesMax = this.#bufferBytesMax();
      const fault = new Fault(
        "slow_caller",
        `The caller reads too slowly: ${buffered} bytes wait for it; accepted: at most ${bufferBytesMax}.`,
        { details: { bufferedBytes: buffered, bufferBytesMax } },
      );
      this.#endCaller({ ok: false, fault });
      return;
    }
    this.#items++;
    sink.item(data);
  }

  #bufferBytesMax(): number {
    const { callerBufferBytesMax, callersBufferBytesMax } = this.#deps.settings;
    const shareBytes = Math.floor(callersBufferBytesMax / this.#deps.openSessions());
    return Math.min(callerBufferBytesMax, shareBytes);
  }

  #entered(): void {
    this.#stopWaiting = undefined;
    this.#enteredAt = performance.now();
    this.#phase = "starting";
    const runtime = this.#deps.runtimes.pick(this.#poolKey);
    if (runtime === undefined) this.#waitForRuntime();
    else this.#open(runtime, { again: true });
  }

  #waitForRuntime(): void {
    this.#controller ??= new AbortController();
    this.#reach(this.#controller.signal).then(
      (runtime) => this.#open(runtime, { again: false }),
      (error: unknown) => this.#leave({ ok: false, fault: toFault(error) }),
    );
    this.#arm();
  }

  /** The installation may have moved to another pool since the call came in; the call then follows. */
  async #reach(signal: AbortSignal): Promise<ReachableRuntime> {
    for (;;) {
      const poolKey = this.#poolKey;
      try {
        return await this.#deps.runtimes.wait(poolKey, signal);
      } catch (error) {
        if (!isFault(error, "plugin_not_ready") || error.details["state"] !== "absent") throw error;
        this.#poolKey = await this.#deps.locate(this.#input.plugin);
        if (this.#poolKey === poolKey) throw error;
      }
    }
  }

  #open(runtime: ReachableRuntime, { again }: { again: boolean }): void {
    if (this.#phase !== "starting") return;
    try {
      this.#runtime = runtime;
      this.#phase = "open";
      this.#lastEventAt = performance.now();
      runtime.link.openSession(this.#input.id, this.#input.line, this);
    } catch (error) {
      const fault = toFault(error);
      this.#phase = "starting";
      this.#runtime = undefined;
      // nothing was sent: the link closed after it was picked
      if (fault.code === "link_lost" && again) this.#waitForRuntime();
      else this.#leave({ ok: false, fault });
      return;
    }
    this.#input.sink.started();
    this.#arm();
  }

  #endCaller(end: InvocationEnd): void {
    if (this.#callerEndedAt !== undefined) return;
    this.#callerEndedAt = performance.now();
    this.#outcome = { ok: end.ok, code: end.ok ? undefined : end.fault.code };
    try {
      this.#input.sink.end(end);
    } catch (error) {
      // place, timer and link must be released even so
      this.#outcome = { ok: false, code: "internal" };
      this.#deps.log.error({ op: "session.end_failed", session_id: this.#input.id, err: toFault(error) });
    }
    if (this.#phase === "open") this.#arm();
  }

  /** Ends the session; its place goes to the next call in the queue. */
  #leave(end?: InvocationEnd): void {
    const { phase, runtime, plugin } = {
      phase: this.#phase,
      runtime: this.#runtime,
      plugin: this.#input.plugin,
    };
    if (phase === "gone") return;
    this.#phase = "gone";
    clearTimeout(this.#timer);
    if (end !== undefined) this.#endCaller(end);
    this.#stopWaiting?.();
    this.#controller?.abort(new Fault("cancelled", "The call has ended."));
    runtime?.link.closeSession(this.#input.id);
    this.#log();
    this.#deps.onEnded(this);
    if (this.#enteredAt !== undefined) plugin.limiter.leave();
  }

  /** One timer for all clocks: it fires at the nearest of them and then checks which one has run out. */
  #arm(): void {
    if (this.#phase === "gone") return;
    const dueAt = this.#dueAt();
    if (this.#timer !== undefined && dueAt >= this.#timerDueAt) return;
    clearTimeout(this.#timer);
    this.#timerDueAt = dueAt;
    this.#timer = setTimeout(() => this.#onTimer(), Math.max(0, dueAt - performance.now()));
  }

  #dueAt(): number {
    const { startTimeoutMs, idleTimeoutMs, overrunGraceMs } = this.#deps.settings;
    const totalAt = this.#startedAt + this.#totalMs;
    if (this.#callerEndedAt !== undefined) return this.#startedAt + this.#grantedMs + overrunGraceMs;
    if (this.#phase === "starting") return Math.min(totalAt, (this.#enteredAt ?? 0) + startTimeoutMs);
    const waitsForHost = this.#hostCalls !== undefined && this.#hostCalls.size > 0;
    if (this.#phase !== "open" || waitsForHost) return totalAt;
    return Math.min(totalAt, this.#lastEventAt + idleTimeoutMs);
  }

  #onTimer(): void {
    this.#timer = undefined;
    const now = performance.now();
    // timers fire up to a millisecond early, and a frame may have restarted the idle clock
    if (now + 1 < this.#dueAt()) this.#arm();
    else if (this.#callerEndedAt !== undefined) this.#overrun();
    else if (this.#phase === "queued") {
      const busy = this.#input.plugin.limiter.busy(Math.round(now - this.#startedAt));
      this.#leave({ ok: false, fault: busy });
    } else if (now + 1 >= this.#startedAt + this.#totalMs) {
      this.#timedOut("total", this.#totalMs, `The call did not end within ${this.#totalMs} ms`);
    } else if (this.#phase === "starting") this.#startTimedOut();
    else {
      const limitMs = this.#deps.settings.idleTimeoutMs;
      this.#timedOut("idle", limitMs, `The plugin sent nothing for ${limitMs} ms`);
    }
  }

  #timedOut(clock: "idle" | "total", limitMs: number, sentence: string): void {
    const waitsFor = this.#hostCalls?.describe() ?? [];
    const waits = waitsFor.length === 0 ? "" : `; the plugin waited for ${waitsFor.slice(0, 3).join("; ")}`;
    const fault = new Fault("plugin_timeout", `${sentence} (${clock} clock)${waits}.`, {
      details: { clock, limitMs, ...(waitsFor.length > 0 && { waitsFor }) },
    });
    if (this.#phase === "open") this.#endCaller({ ok: false, fault });
    else this.#leave({ ok: false, fault });
  }

  #startTimedOut(): void {
    const limitMs = this.#deps.settings.startTimeoutMs;
    const refuse = (status: object) => {
      if (this.#phase !== "starting") return;
      const text = `No runtime of the plugin was ready within ${limitMs} ms (start clock).`;
      const details = { clock: "start", limitMs, ...status };
      this.#leave({ ok: false, fault: new Fault("plugin_not_ready", text, { details }) });
    };
    this.#statusInTime().then(
      ({ state, nextStartAt, cause }) =>
        refuse({ state, ...(nextStartAt && { nextStartAt }), ...(cause && { cause }) }),
      () => refuse({ state: "unknown" }),
    );
  }

  /** Bounded, because the database may not answer either. */
  async #statusInTime(): Promise<PoolStatus> {
    using deadline = new Deadline({ clock: systemClock, ms: STATUS_WAIT_MS });
    return await waitOrAbort(this.#deps.runtimes.status(this.#poolKey), deadline.signal);
  }

  #overrun(): void {
    const runtime = this.#runtime;
    const afterMs = this.#grantedMs + this.#deps.settings.overrunGraceMs;
    this.#leave();
    if (runtime === undefined) return;
    this.#deps.runtimes.retire(runtime.id, `session ${this.#input.id} was still open after ${afterMs} ms`);
  }

  #hostCallContext(): HostCallContext {
    const { request, plugin, depth, id } = this.#input;
    this.#controller ??= new AbortController();
    this.#hostCalls ??= new OpenHostCalls(() => {
      this.#lastEventAt = performance.now();
      this.#arm();
    });
    const { signal } = this.#controller;
    return {
      tenantId: request.tenantId,
      catalog: plugin.catalog,
      permissions: plugin.installation.permissions,
      operationType: request.operation.type,
      userId: userOf(request),
      requestId: request.requestId,
      sessionId: id,
      depth,
      remainingMs: Math.max(1, Math.floor(this.#startedAt + this.#grantedMs - performance.now())),
      open: this.#hostCalls,
      signal,
      send: (line) => this.#send(line, signal),
    };
  }

  /** Drops an answer for a session that has ended or a link that is down. */
  #send(line: string, signal: AbortSignal): Promise<void> | undefined {
    if (this.#phase !== "open" || this.#runtime === undefined) return undefined;
    this.#lastEventAt = performance.now();
    try {
      return this.#runtime.link.send(line, signal)?.catch(() => undefined);
    } catch (error) {
      // link_lost also reaches `onLost`; an answer that is too large must not leave the plugin waiting
      if (toFault(error).code === "frame_too_large") throw error;
      return undefined;
    }
  }

  #log(): void {
    this.#deps.log.info(
      sessionLine(this.#input, {
        startedAt: this.#startedAt,
        enteredAt: this.#enteredAt,
        firstEventAt: this.#firstEventAt,
        callerEndedAt: this.#callerEndedAt,
        outcome: this.#outcome,
        items: this.#items,
        bytes: this.#bytes,
        runtimeId: this.#runtime?.id,
      }),
    );
  }
}
