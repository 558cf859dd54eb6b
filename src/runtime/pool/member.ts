/** One live Runtime as its keeper sees it: watched for health while it serves, drained and buried at its end. */
import { toFault } from "../../domain/fault.ts";
import type { RuntimeEnd } from "../../domain/runtime.ts";
import { announce, TOPICS } from "../announce.ts";
import { type EndedRuntime, endOf, exitOf, lastLines } from "../exit-cause.ts";
import { type HealthListener, watchHealth } from "../health.ts";
import { type LaunchDeps, type LiveRuntime, waitStopped } from "../launch.ts";
import type { SupervisionSettings } from "../settings.ts";

export interface MemberDeps extends LaunchDeps {
  readonly supervision: SupervisionSettings;
}

/** How long the Engine may take to notice that a Container ended, after its runner said so. */
const EXIT_WAIT_MS = 1_000;

export class Member {
  readonly #deps: MemberDeps;
  readonly live: LiveRuntime;
  readonly readyAt: number;
  readonly #stop = new AbortController();
  /** Set once it must go; `reason` undefined means that it ended by itself. */
  #fallen: { readonly reason: RuntimeEnd["reason"] | undefined; readonly message?: string } | undefined;
  #draining = false;

  constructor(deps: MemberDeps, live: LiveRuntime, readyAt: number) {
    this.#deps = deps;
    this.live = live;
    this.readyAt = readyAt;
  }

  get fallen(): boolean {
    return this.#fallen !== undefined;
  }

  get draining(): boolean {
    return this.#draining;
  }

  watch(listener: HealthListener): void {
    const { clock, supervision, log, links } = this.#deps;
    const link = links.find(this.live.record.id)?.link;
    if (link === undefined) return;
    watchHealth({ link, clock, settings: supervision }, listener, this.#stop.signal).catch((error: unknown) =>
      log.error({ op: "runtime.health", runtime: this.live.record.id, err: toFault(error) }),
    );
  }

  /** The first reason stays. */
  fall(reason: RuntimeEnd["reason"] | undefined, message?: string): void {
    this.#fallen ??= { reason, ...(message === undefined ? {} : { message }) };
    this.#stop.abort();
    this.#deps.links.stopAccepting(this.live.record.id);
  }

  /** No longer watched; what runs, runs on. */
  release(): void {
    this.#stop.abort();
  }

  /**
   * Takes no new calls, waits for the open ones as long as calls may take, then ends it. In one that is retired a call
   * has outstayed even that: the others get `retireMs`.
   */
  async drain(reason: "replaced" | "retired" | "stopped"): Promise<EndedRuntime> {
    const { links, clock, supervision, lifetime, store, queue } = this.#deps;
    const { record } = this.live;
    this.#draining = true;
    this.#stop.abort();
    links.stopAccepting(record.id);
    await store.runtimes.setState(record.id, "draining");
    void announce(queue, TOPICS.changed, record.poolKey);
    // A process that has not heard of it yet may still send a call: it is waited for before none open means none.
    if (!this.fallen) await clock.sleep(supervision.drainNoticeMs, lifetime);
    const limitMs = reason === "retired" ? supervision.retireMs : supervision.drainMs;
    for (const until = clock.now() + limitMs; clock.now() < until && !this.fallen; ) {
      if ((await this.#openSessions()) === 0) break;
      await clock.sleep(supervision.drainPollMs, lifetime);
    }
    return await this.end(reason === "stopped" ? "stopped" : "replaced");
  }

  /** Stops and removes the Container, ends link, folder and row, and tells how it ended. */
  async end(asked?: "replaced" | "stopped"): Promise<EndedRuntime> {
    const { engine, links, folders, logs, store, settings, queue, log } = this.#deps;
    const { record, containerId } = this.live;
    this.#stop.abort();
    links.stopAccepting(record.id);
    const never = new AbortController().signal;
    const fallen = this.#fallen;
    const reason = fallen === undefined ? asked : fallen.reason;
    const said = links.exitOf(record.id);
    if (fallen === undefined) {
      await engine.stopContainer(containerId, { graceMs: this.#deps.profile.graceMs }, never);
    } else if (reason === "unhealthy") {
      await engine.killContainer(containerId, never);
    }
    const state = await waitStopped(this.#deps, containerId, EXIT_WAIT_MS);
    const exit = exitOf(links.exitOf(record.id), state);
    const lost = reason === undefined && said === undefined && state === undefined;
    links.noteExit(record.id, exit);
    // A Runtime that was asked to go needs no explanation; reading its log would only hold up who waits for the end.
    const lines = fallen === undefined ? [] : await lastLines(this.#deps, containerId, settings.logLinesKept);
    const end = {
      ...endOf(exit, lost ? "lost" : reason),
      ...(fallen?.message === undefined ? {} : { message: fallen.message }),
    };
    await logs.finish(record.id, EXIT_WAIT_MS);
    await engine.removeContainer(containerId, never);
    // The row first: while it lives, every process's directory opens the link that is closed here.
    await store.runtimes.end(record.id, end);
    await links.close(record.id);
    await folders.remove(record.id);
    void announce(queue, TOPICS.changed, record.poolKey);
    log[fallen === undefined ? "info" : "warn"]({
      op: "runtime.end",
      ok: fallen === undefined,
      runtime: record.id,
      pool: record.poolKey,
      ...end,
    });
    return { id: record.id, end, logs: lines };
  }

  /** As the runner counts them, for all processes; a Runtime that does not answer has none worth waiting for. */
  async #openSessions(): Promise<number> {
    const { links, clock, supervision } = this.#deps;
    const held = links.find(this.live.record.id);
    if (held === undefined) return 0;
    const limit = new AbortController();
    const answered = new AbortController();
    void clock.sleep(supervision.pingTimeoutMs, answered.signal).then(
      () => limit.abort(new Error("no answer")),
      () => undefined,
    );
    try {
      const { openSessions } = await held.link.ping(limit.signal);
      return Math.max(openSessions, held.link.openSessions);
    } catch {
      return held.link.up ? held.link.openSessions : 0;
    } finally {
      answered.abort();
    }
  }
}
