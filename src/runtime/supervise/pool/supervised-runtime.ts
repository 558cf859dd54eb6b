/**
 * One live runtime under supervision: checked for health while it serves, drained or ended once. Guarantees: the first
 * reason of its end stays; it takes no new calls from that moment; `end` may be repeated until the engine answers.
 */
import type { ContainerState, LiveResources } from "../../../domain/container.ts";
import { isFault, toFault } from "../../../domain/fault.ts";
import type { RuntimeEnd } from "../../../domain/runtime.ts";
import type { RuntimeExit } from "../../../transport/transport.ts";
import { Deadline } from "../../../util/deadline.ts";
import type { HealthJudge } from "../../health/judge.ts";
import { type HealthListener, watchHealth } from "../../health/watch-health.ts";
import { type EndedRuntime, endOf, exitOf, lastLines } from "../../launch/exit-cause.ts";
import { type LaunchDeps, type LiveRuntime, waitStopped } from "../../launch/launch.ts";
import { announce, TOPICS } from "../../reach/announce.ts";
import { formatExit } from "../../reach/exit-message.ts";
import type { SupervisionSettings } from "../../settings.ts";

export interface SupervisedRuntimeDeps extends LaunchDeps {
  readonly supervision: SupervisionSettings;
  /** One for all runtimes of this process. */
  readonly judge: HealthJudge;
}

/** Why Berth ends a runtime that has not failed. */
export type EndAsked = "replaced" | "retired" | "idle" | "scaled_in" | "stopped";

/** How long the engine may take to notice the end of a container after its runner reported it. */
const EXIT_WAIT_MS = 1_000;

export class SupervisedRuntime {
  readonly #deps: SupervisedRuntimeDeps;
  readonly live: LiveRuntime;
  /** What the engine grants its container now. */
  resources: LiveResources;
  /** A change of these, or of what is reserved for them, has an unknown outcome. */
  isUncertain = false;
  readonly readyAt: number;
  readonly #stop = new AbortController();
  /** Set once it has failed; `reason` undefined means that it ended by itself. */
  #failure:
    | { readonly reason: RuntimeEnd["reason"] | undefined; readonly hung?: string; readonly at: number }
    | undefined;
  /** Why Berth ends it; set even if the engine has not done it yet. */
  #asked: EndAsked | undefined;
  #draining = false;
  /** Pings of a drain in a row without an answer. */
  #unanswered = 0;

  constructor(deps: SupervisedRuntimeDeps, live: LiveRuntime, readyAt: number) {
    this.#deps = deps;
    this.live = live;
    this.resources = live.resources;
    this.readyAt = readyAt;
  }

  /** Its number among the runtimes of the pool, from 0. */
  get slot(): number {
    return this.live.record.slot;
  }

  /** It has ended, or its end has begun. */
  get isEnding(): boolean {
    return this.#failure !== undefined || this.#asked !== undefined;
  }

  get isHung(): boolean {
    return this.#failure?.reason === "unhealthy";
  }

  get draining(): boolean {
    return this.#draining;
  }

  watch(listener: HealthListener): void {
    const { clock, supervision, judge, log, links } = this.#deps;
    const { id } = this.live.record;
    const link = links.find(id)?.link;
    if (link === undefined) return;
    const deps = { id, link, judge, clock, settings: supervision };
    watchHealth(deps, listener, this.#stop.signal).catch((error: unknown) =>
      log.error({ op: "runtime.health", runtime: id, err: toFault(error) }),
    );
  }

  /** The first reason stays. `hung`: why its health check failed. */
  markFailed(reason: RuntimeEnd["reason"] | undefined, hung?: string): void {
    const at = this.#deps.clock.now();
    this.#failure ??= { reason, at, ...(hung === undefined ? {} : { hung }) };
    this.#stop.abort();
    this.#deps.links.stopAccepting(this.live.record.id);
  }

  /** Ends the health checks; the container runs on. */
  release(): void {
    this.#stop.abort();
  }

  /**
   * Takes no new calls, waits for the open ones up to `drainMs`, then ends it. A retired runtime has a call that outlived
   * even that limit: its other calls get `retireMs`.
   */
  async drain(reason: EndAsked): Promise<EndedRuntime> {
    const { links, clock, supervision, lifetime, store, queue } = this.#deps;
    const { record } = this.live;
    this.#draining = true;
    this.#stop.abort();
    links.stopAccepting(record.id);
    await store.runtimes.setState(record.id, "draining");
    void announce(queue, TOPICS.changed, record.poolKey);
    // A process that does not know of the drain yet may still send a call: wait before counting open calls.
    if (!this.isEnding) await clock.sleep(supervision.drainNoticeMs, lifetime);
    const limitMs = reason === "retired" ? supervision.retireMs : supervision.drainMs;
    for (const until = clock.now() + limitMs; clock.now() < until && !this.isEnding; ) {
      if ((await this.#openSessions()) === 0) break;
      await clock.sleep(supervision.drainPollMs, lifetime);
    }
    return await this.end(reason);
  }

  /**
   * Stops and removes the container, link and folder, and ends the row. Resolves with how it ended. Throws if the engine
   * does not answer: call it again. What the engine refuses to end, the sweeper tries again.
   */
  async end(asked?: EndAsked): Promise<EndedRuntime> {
    const { engine, links, folders, logs, store, settings, queue } = this.#deps;
    const { record, containerId } = this.live;
    this.#stop.abort();
    links.stopAccepting(record.id);
    const never = new AbortController().signal;
    const failure = this.#failure;
    if (failure === undefined) {
      this.#asked ??= asked;
      const graceMs = this.#deps.profile.graceMs;
      await this.#try(() => engine.stopContainer(containerId, { graceMs }, never));
    } else if (failure.reason === "unhealthy") {
      this.#announceHung(failure.hung);
      await this.#try(() => engine.killContainer(containerId, never));
    }
    const state = await waitStopped(this.#deps, containerId, EXIT_WAIT_MS);
    const reported = links.exitOf(record.id);
    const exit = exitOf(failure?.reason === "unhealthy" ? undefined : reported, state);
    links.noteExit(record.id, exit);
    // An end on purpose needs no explanation; reading the log would only delay it.
    const lines =
      failure === undefined ? [] : await lastLines(this.#deps, containerId, settings.logLinesKept);
    const reason = this.#asked ?? failure?.reason ?? this.#endedOutside(exit, state);
    const end = endOf(exit, { reason, hung: failure?.hung, lines });
    await logs.finish(record.id, EXIT_WAIT_MS);
    await this.#try(() => engine.removeContainer(containerId, never));
    // The row first: while it is live, every process's directory would open the link again.
    await store.runtimes.end(record.id, end);
    await links.close(record.id);
    await folders.remove(record.id);
    void announce(queue, TOPICS.changed, record.poolKey);
    this.#logEnd(end);
    return { id: record.id, end, logs: lines };
  }

  #logEnd({ logs: _lines, ...end }: RuntimeEnd): void {
    const { id: runtime, poolKey: pool } = this.live.record;
    // A requested stop is no failure, even if its exit was seen before the engine answered.
    const ok = this.#asked !== undefined || this.#failure === undefined;
    this.#deps.log[ok ? "info" : "warn"]({ op: "runtime.end", ok, runtime, pool, ...end });
  }

  /** Why it ended, if somebody else ended it: neither Berth, nor the plugin, nor the memory limit. */
  #endedOutside(exit: RuntimeExit, state: ContainerState | undefined): RuntimeEnd["reason"] | undefined {
    const { engineHistory, links, clock } = this.#deps;
    const { record, containerId } = this.live;
    if (exit.oom) return undefined;
    const reported = links.exitOf(record.id);
    const isGone = state === undefined && reported?.exitCode === undefined && reported?.signal === undefined;
    const at = this.#failure?.at ?? clock.now();
    return engineHistory.explain(containerId, at, state) ?? (isGone ? "ended_outside" : undefined);
  }

  /** An engine that refuses to end or remove one container must not block the next one of the pool. */
  async #try(step: () => Promise<void>): Promise<void> {
    try {
      await step();
    } catch (error) {
      if (!isFault(error, "engine_refused") && !isFault(error, "conflict")) throw error;
      const { id: runtime, poolKey: pool } = this.live.record;
      this.#deps.log.warn({ op: "runtime.end", ok: false, runtime, pool, err: error });
    }
  }

  /** Before the kill: the open calls of all processes fail with this reason and not with that of a killed process. */
  #announceHung(hung = "it did not answer"): void {
    const { links, queue } = this.#deps;
    const { id } = this.live.record;
    const exit = { exitCode: undefined, signal: undefined, oom: false, hung };
    links.noteExit(id, exit);
    void announce(queue, TOPICS.exited, formatExit({ id, exit }));
  }

  /** As `openCalls`; a runtime that stays silent counts as having none. */
  async #openSessions(): Promise<number> {
    const { links, clock, supervision, judge } = this.#deps;
    const held = links.find(this.live.record.id);
    if (held === undefined) return 0;
    const askedAt = clock.now();
    const open = await this.openCalls();
    if (open !== undefined) {
      this.#unanswered = 0;
      return open;
    }
    // On a host without time for an answer, silence does not count: the open calls go on.
    if (judge.strainBetween(askedAt, clock.now()) === undefined) this.#unanswered += 1;
    // As many misses as end a runtime that serves: it will not answer its calls any more.
    const isSilent = this.#unanswered >= supervision.missesMax;
    return held.link.up && !isSilent ? held.link.openSessions : 0;
  }

  /** Open calls of all processes, as the runner counts them; undefined if it does not answer. */
  async openCalls(): Promise<number | undefined> {
    const { links, clock, supervision } = this.#deps;
    const held = links.find(this.live.record.id);
    if (held === undefined) return undefined;
    const late = () => new Error("no answer");
    using deadline = new Deadline({ clock, ms: supervision.pingTimeoutMs, late });
    try {
      const { openSessions } = await held.link.ping(deadline.signal);
      return Math.max(openSessions, held.link.openSessions);
    } catch {
      return undefined;
    }
  }
}
