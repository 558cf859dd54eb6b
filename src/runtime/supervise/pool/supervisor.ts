/**
 * Keeps one Pool as its row wants it, while this process holds the Pool's lease. All work is done in turns, one at a
 * time: a turn reads the rows, looks at what lives, and does what is missing. Events only ask for the next turn, so
 * a lost event costs time and never truth.
 */
import { Fault, isFault, toFault } from "../../../domain/fault.ts";
import type { RuntimeId } from "../../../domain/ids.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import { type EndedRuntime, exitOf } from "../../launch/exit-cause.ts";
import { type LiveRuntime, launch, settle, undo } from "../../launch/launch.ts";
import { announce, TOPICS } from "../../reach/announce.ts";
import { formatExit } from "../../reach/exit-message.ts";
import { findRecovery, type Recovery } from "../recover.ts";
import { markInstallations } from "./crash-loop.ts";
import { desiredSpec, isOutdated, type LimitsStep, stepTo } from "./desired-spec.ts";
import { applyLive, lookAgain } from "./live-limits.ts";
import { Replicas } from "./replicas.ts";
import { isOnPurpose, RestartPolicy } from "./restart-policy.ts";
import { RolloutTurn } from "./rollout.ts";
import { isAsked, StartRequests } from "./start-requests.ts";
import { type EndAsked, SupervisedRuntime } from "./supervised-runtime.ts";
import { SupervisedRuntimes } from "./supervised-runtimes.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

/** So many of the last ends say how a Pool fared. */
const ROWS = 20;

/** Of one that has ended; where the Engine does not tell, all are given anew. */
const NO_RESOURCES = { memoryBytes: 0, cpuMillis: 0, pidsMax: 0 };

export class PoolSupervisor {
  readonly #key: string;
  readonly #deps: SupervisorDeps;
  readonly #released = new AbortController();
  readonly #restarts: RestartPolicy;
  readonly #rollout: RolloutTurn;
  readonly #requests: StartRequests;
  readonly #members = new SupervisedRuntimes();
  readonly #replicas: Replicas;
  #turning: Promise<void> | undefined;
  #again = false;
  #hasLooked = false;
  #isRemoved = false;
  #lastTurnFailed = false;
  #launching: { readonly abort: AbortController; readonly isExplicit: boolean } | undefined;
  #replaceNotBefore = 0;

  constructor(key: string, deps: SupervisorDeps) {
    this.#key = key;
    // Letting go of the Pool is, for everything below, the same as the end of the process.
    this.#deps = { ...deps, lifetime: AbortSignal.any([deps.lifetime, this.#released.signal]) };
    this.#requests = new StartRequests(this.#deps);
    this.#restarts = new RestartPolicy(key, this.#deps, () => this.scheduleReconcile());
    this.#rollout = new RolloutTurn(deps.rollout, () => this.scheduleReconcile());
    this.#replicas = new Replicas({
      ...{ poolKey: key, deps: this.#deps, members: this.#members, restarts: this.#restarts },
      admit: (live) => this.#admit(live),
      drain: (member) => this.#drain(member, "scaled_in"),
      wake: () => this.scheduleReconcile(),
    });
  }

  get servingCount(): number {
    return this.#members.serving.length;
  }

  get isServing(): boolean {
    return this.servingCount > 0;
  }

  /** Nothing of it lives, as far as this process knows. */
  get isEmpty(): boolean {
    const isStarting = this.#launching !== undefined || this.#replicas.startingId !== undefined;
    return this.#hasLooked && this.#members.all.length === 0 && !isStarting;
  }

  /** What the rows say against what is done here: true where a turn has something to do. */
  needsTurn(pool: Pool, live: readonly RuntimeRecord[]): boolean {
    const { haveEnded, areUncertain } = this.#members;
    if (!this.#hasLooked || this.#lastTurnFailed || isAsked(pool) || haveEnded || areUncertain) return true;
    if (live.some((record) => record.id !== this.#replicas.startingId && this.#members.isUnseen(record)))
      return true;
    if (!pool.wanted || pool.state === "idle") return this.isServing;
    if (this.isServing)
      return pool.state !== "ready" || this.#mayChange(pool) || this.#replicas.missing(pool) !== 0;
    if (this.#replicas.startingId !== undefined) return false;
    if (pool.state === "crash_loop") return true;
    return pool.state !== "backoff" || !this.#restarts.isWaiting;
  }

  /** Asks for a turn; while one runs, for another behind it. */
  scheduleReconcile(): void {
    if (this.#deps.lifetime.aborted) return;
    this.#again = true;
    this.#turning ??= this.#turns().finally(() => {
      this.#turning = undefined;
    });
  }

  /** An install, an upgrade or an operator wants it running: a Pool that was given up gets another chance. */
  ensureReady(onLog: (text: string) => void, signal: AbortSignal): Promise<RuntimeRecord> {
    // The last one that waited for an asked-for start takes the start with it.
    const onGone = (reason: unknown) => {
      if (this.#launching?.isExplicit) this.#launching.abort.abort(reason);
    };
    const ready = this.#requests.wait({ onLog, onGone }, signal);
    this.scheduleReconcile();
    return ready;
  }

  /** The runner said that its plugin ended. */
  noteExit(id: RuntimeId): void {
    const member = this.#members.find(id);
    if (member === undefined || member.draining) return;
    member.markFailed(undefined);
    this.scheduleReconcile();
  }

  /** The Engine may know of an end: it is asked, and what it says reaches waiting calls at once. */
  async noteDied(id: RuntimeId): Promise<void> {
    const member = this.#members.find(id);
    // Of one that Berth ended for its health everybody knows already, and better.
    if (member === undefined || member.isHung) return;
    const state = await this.#deps.engine.findContainer(member.live.containerId, this.#deps.lifetime);
    if (state?.phase === "running") return;
    const exit = exitOf(undefined, state);
    this.#deps.links.noteExit(id, exit);
    void announce(this.#deps.queue, TOPICS.exited, formatExit({ id, exit }));
    this.noteExit(id);
  }

  /** The kernel killed something in it: what is left of it is not trusted any more. */
  noteOom(id: RuntimeId, containerId: string): void {
    const member = this.#members.find(id);
    if (member === undefined || member.draining || member.live.containerId !== containerId) return;
    member.markFailed("oom");
    this.scheduleReconcile();
  }

  /** Runtimes of which the Engine's list knows nothing. */
  missingFrom(running: ReadonlySet<string>): readonly RuntimeId[] {
    return this.#members.missingFrom(running);
  }

  /** A start in progress has become pointless. */
  abandonStart(reason: Error): void {
    this.#launching?.abort.abort(reason);
    this.#replicas.abandonStart(reason);
  }

  /** Ends every Runtime of the Pool at once; nothing starts afterwards. Throws what the Engine refused. */
  async removeAll(): Promise<void> {
    this.#isRemoved = true;
    this.abandonStart(new Error("the pool is being removed"));
    // One more turn even where none was due: it learns of what an earlier keeper left.
    this.scheduleReconcile();
    await this.settled();
    try {
      await Promise.all(this.#members.all.map((member) => member.end("stopped")));
    } catch (error) {
      // Whoever comes to need the Pool meanwhile is not to wait for an Engine that does not answer.
      this.#isRemoved = false;
      throw error;
    }
    this.release(new Fault("lease_lost", "The pool was removed."));
  }

  /** Lets go: Containers run on, nothing is watched any more. */
  release(reason: Error): void {
    this.#released.abort(reason);
    this.#restarts.stop();
    this.#rollout.close();
    for (const member of this.#members.all) member.release();
    this.#requests.rejectAll(reason);
  }

  /** Resolves when nothing is being done any more; after `release`, when the logs are another's to follow. */
  async settled(): Promise<void> {
    while (this.#turning !== undefined || this.#replicas.startingId !== undefined) {
      await this.#turning;
      await this.#replicas.settled();
    }
    if (this.#released.signal.aborted) await this.#deps.logs.stopPool(this.#key);
  }

  async #turns(): Promise<void> {
    while (this.#again && !this.#deps.lifetime.aborted) {
      this.#again = false;
      try {
        await this.#turn();
        this.#lastTurnFailed = false;
      } catch (error) {
        if (this.#deps.lifetime.aborted) return;
        const { code } = toFault(error);
        // Those that asked by the row wait for the next turn.
        this.#requests.rejectAll(error);
        // Said once; the row pass asks again until it goes well.
        if (!this.#lastTurnFailed)
          this.#deps.log.error({ op: "pool.turn", ok: false, pool: this.#key, code, err: error });
        this.#lastTurnFailed = true;
        return;
      }
    }
  }

  async #turn(): Promise<void> {
    const { store } = this.#deps;
    // A process that stood still may have lost the lease without knowing: it learns that first.
    if (!this.#deps.isHeld(this.#key)) throw new Fault("lease_lost", "The lease of this pool has run out.");
    const beside = this.#replicas.startingId;
    const [rows, live] = await Promise.all([
      store.runtimes.listOfPool(this.#key, ROWS),
      store.runtimes.listLive(this.#key),
    ]);
    this.#restarts.seed(rows);
    // What serves first: a start is waited for only where nothing does.
    for (const record of live.toSorted((a, b) => Number(isStarting(a)) - Number(isStarting(b)))) {
      if (record.id === beside) continue;
      const member = this.#members.find(record.id);
      if (member === undefined) await this.#recover(record);
      else if (record.state === "draining" && !member.draining) this.#drain(member, "retired");
    }
    this.#hasLooked = true;
    if (this.#isRemoved) return;
    for (const member of this.#members.all) {
      if (member.isEnding && !member.draining) await this.#bury(member);
    }
    const pool = await store.pools.find(this.#key);
    if (this.#isRemoved) return;
    if (pool === undefined) this.#requests.rejectAll(new Fault("not_found", "The pool is gone."));
    else await this.#decide(pool, rows[0]);
  }

  async #decide(pool: Pool, last: RuntimeRecord | undefined): Promise<void> {
    const isExplicit = this.#requests.stand(pool);
    const isWanted = pool.wanted && (pool.state !== "idle" || isExplicit);
    if (this.isServing && isWanted) return await this.#keepServing(pool);
    this.#rollout.done();
    if (!isWanted) return await this.#stopServing(pool);
    // One is on its way already.
    if (this.#replicas.startingId !== undefined) return;
    const isChanged = last !== undefined && isOutdated(this.#deps, pool, last);
    if (isExplicit || (pool.state === "crash_loop" && isChanged)) this.#resetHistory();
    else if (pool.state === "crash_loop") return;
    else if (pool.state === "backoff" && !this.#restarts.isDue(pool)) return;
    await this.#start(pool, isExplicit);
  }

  #resetHistory(): void {
    this.#restarts.resetHistory();
    this.#replicas.resetDelay();
  }

  async #keepServing(pool: Pool): Promise<void> {
    // A keeper that died in the middle of a replacement left two in one place.
    for (const member of this.#members.superseded) this.#drain(member, "replaced");
    const { serving } = this.#members;
    const asked = serving.find(({ live }) => live.record.generation < pool.generationMin);
    if (asked !== undefined) return await this.#renew(pool, asked);
    const outdated = await this.#adjust(pool);
    if (outdated === "refused") return;
    const [first] = outdated;
    // Somebody waits for it: it is replaced now, and not when its turn among all Pools comes.
    if (first !== undefined && pool.nextLimits !== undefined) return await this.#renew(pool, first);
    const [newest] = serving;
    if (newest !== undefined) await this.#markReady(pool, newest);
    if (first === undefined) this.#rollout.done();
    else await this.#replace(pool, first);
    this.#replicas.fill(pool);
  }

  /** Gives those that serve the limits that they can be given as they run; answers those that need another Container. */
  async #adjust(pool: Pool): Promise<readonly SupervisedRuntime[] | "refused"> {
    await lookAgain(this.#deps, this.#members.serving);
    const outdated = this.#inNeedOf("rolling", pool);
    const changing = this.#inNeedOf("live", pool);
    const isAsked = pool.nextLimits !== undefined;
    const isDue = isAsked || this.#deps.clock.elapsed() >= this.#replaceNotBefore;
    if (changing.length === 0 || !isDue) return outdated;
    try {
      return [...outdated, ...(await applyLive(this.#deps, pool, changing))];
    } catch (error) {
      if (!isFault(error, "host_full") && !isFault(error, "quota_memory")) throw error;
      if (isAsked) {
        await this.#requests.fail(pool, error);
        this.#again = true;
        return "refused";
      }
      this.#replaceNotBefore = this.#deps.clock.elapsed() + this.#deps.supervision.backoffMaxMs;
      this.#deps.log.warn({ op: "runtime.limits", ok: false, pool: this.#key, code: error.code });
      return outdated;
    }
  }

  async #start(pool: Pool, isExplicit: boolean): Promise<void> {
    await this.#restarts.setState("starting");
    const onLog = (text: string) => this.#requests.tell(text);
    await this.#attempt({ isExplicit, pool }, (signal) =>
      launch(this.#deps, { pool: desiredSpec(pool), slot: this.#replicas.freeSlot, onLog }, signal),
    );
  }

  async #attempt(
    { isExplicit, pool }: { readonly isExplicit: boolean; readonly pool: Pool | undefined },
    start: (signal: AbortSignal) => Promise<LiveRuntime>,
  ): Promise<void> {
    const launching = { abort: new AbortController(), isExplicit };
    this.#launching = launching;
    try {
      this.#admit(await start(AbortSignal.any([launching.abort.signal, this.#deps.lifetime])));
      this.#again = true;
    } catch (error) {
      if (this.#deps.lifetime.aborted) throw error;
      const isAbandoned = launching.abort.signal.aborted;
      await this.#restarts.startFailed(error, { isExplicit, isAbandoned, pool });
      await this.#requests.fail(pool, error);
      this.#again = true;
    } finally {
      this.#launching = undefined;
    }
  }

  async #recover(record: RuntimeRecord): Promise<void> {
    const { store, engine, links, folders, logs, clock, settings, log, lifetime } = this.#deps;
    const found = await findRecovery({ engine, instanceId: store.instanceId }, record, lifetime);
    const isStart = record.state === "starting" && (found.action === "adopt" || found.action === "start");
    // One at a time, and no turn waits for it: the end of the one on its way asks for the turn that comes to this one.
    if (isStart && this.#replicas.startingId !== undefined && !this.#isRemoved) return;
    log.info({ op: "runtime.recover", ok: true, runtime: record.id, pool: this.#key, ...found });
    if (found.action === "forget") {
      const end = { reason: "lost", message: "Its container was gone." } as const;
      await store.runtimes.end(record.id, end);
      await links.close(record.id);
      await folders.remove(record.id);
      if (found.wasRunning && record.state !== "draining") {
        await this.#countFailure(
          { id: record.id, end, logs: [] },
          record.slot,
          this.#restarts.healthyFor(record),
        );
      }
      return;
    }
    const live = await this.#liveOf(record, found);
    // A keeper that ended as the Container started had not written down yet which one it is.
    if (record.containerId !== found.containerId)
      await store.runtimes.setContainer(record.id, found.containerId);
    await folders.prepare(record.id);
    await links.open(record);
    logs.follow({ ...record, containerId: found.containerId });
    if (found.action === "reap") {
      const member = this.#add(live, record.readyAt?.getTime() ?? clock.now());
      // Its end was begun already, and is nobody's failure.
      const begun = record.state === "draining" ? "replaced" : undefined;
      member.markFailed(begun ?? (found.wasKilled ? "lost" : undefined));
      return;
    }
    if (record.state !== "starting" || this.#isRemoved) {
      const member = this.#admit(live, record.readyAt?.getTime());
      if (record.state === "draining") this.#drain(member, "replaced");
      return;
    }
    const start = async (signal: AbortSignal): Promise<LiveRuntime> => {
      try {
        if (found.action === "start") await engine.startContainer(found.containerId, signal);
        const onLog = (text: string) => this.#requests.tell(text);
        await settle(this.#deps, live, { until: clock.now() + settings.startTimeoutMs, onLog, signal });
        return live;
      } catch (error) {
        if (!lifetime.aborted) await undo(this.#deps, { ...live, isGivenUp: signal.aborted }, error);
        throw error;
      }
    };
    if (this.isServing && this.#replicas.startingId === undefined)
      return this.#replicas.startBeside(record, start);
    const pool = await store.pools.find(this.#key);
    await this.#attempt({ isExplicit: this.#requests.stand(pool), pool }, start);
  }

  /** Its row reserves what its Container has, whatever the keeper before was about to change. */
  async #liveOf(
    record: RuntimeRecord,
    found: Exclude<Recovery, { readonly action: "forget" }>,
  ): Promise<LiveRuntime> {
    const { containerId } = found;
    if (found.action === "reap" || found.resources === undefined)
      return { record, containerId, resources: NO_RESOURCES };
    const { resources } = found;
    await this.#deps.store.runtimes.reserve(record.id, resources.memoryBytes, undefined);
    return { record, containerId, resources };
  }

  #admit(live: LiveRuntime, readyAt = this.#deps.clock.now()): SupervisedRuntime {
    const member = this.#add(live, readyAt);
    member.watch({
      onUnhealthy: (why) => this.#restarts.showHealth(live.record.id, why),
      onSpared: (why, because) => this.#restarts.showHealth(live.record.id, why, because),
      onHealthy: () => this.#restarts.showHealth(live.record.id, undefined),
      onDead: (why) => {
        member.markFailed("unhealthy", why);
        this.scheduleReconcile();
      },
    });
    // It may have ended before anybody listened for it.
    if (this.#deps.links.exitOf(live.record.id) !== undefined) member.markFailed(undefined);
    return member;
  }

  #add(live: LiveRuntime, readyAt: number): SupervisedRuntime {
    const member = new SupervisedRuntime(this.#deps, live, readyAt);
    this.#members.add(member);
    return member;
  }

  async #bury(member: SupervisedRuntime): Promise<void> {
    const ended = await member.end();
    this.#members.delete(ended.id);
    if (isOnPurpose(ended.end)) return;
    await this.#countFailure(ended, member.slot, this.#deps.clock.now() - member.readyAt);
  }

  /** Only the end of what served counts: another may have its place already. */
  async #countFailure(ended: EndedRuntime, slot: number, healthyForMs: number): Promise<void> {
    const pool = await this.#deps.store.pools.find(this.#key);
    if (pool === undefined || !pool.wanted || this.#members.slots.has(slot)) return;
    if (pool.state === "idle" || pool.state === "crash_loop") return;
    if (this.isServing) return await this.#replicas.noteEnd(ended, healthyForMs);
    const delayMs = await this.#restarts.failed(ended, healthyForMs);
    this.#replicas.holdBack(delayMs ?? this.#deps.supervision.backoffMaxMs);
    if (delayMs === undefined)
      this.#replicas.abandonStart(new Fault("cancelled", "The plugin was given up."));
  }

  async #markReady(pool: Pool, member: SupervisedRuntime): Promise<void> {
    const { store } = this.#deps;
    this.#restarts.served();
    if (pool.state !== "ready") {
      await this.#restarts.setState("ready");
      await markInstallations(store, this.#key, { state: "ready", cause: undefined });
    }
    await this.#requests.succeed(pool, member.live.record, (id) => store.runtimes.find(id));
  }

  async #stopServing(pool: Pool): Promise<void> {
    const reason = pool.wanted ? "idle" : "stopped";
    if (pool.state !== "idle") await this.#restarts.setState("idle");
    const fault = new Fault("plugin_disabled", "No runtime of this plugin is wanted now.");
    await this.#requests.fail(pool, fault);
    this.#replicas.abandonStart(fault);
    this.#replicas.reset();
    for (const member of this.#members.all) if (!member.draining) this.#drain(member, reason);
  }

  /** The old one serves until the new one is ready; a failed replacement leaves it serving. */
  async #replace(pool: Pool, old: SupervisedRuntime): Promise<void> {
    // Whoever cannot use the turn now leaves it to another Pool.
    if (!this.#mayChange(pool) || this.#replicas.startingId !== undefined) return this.#rollout.done();
    if (!this.#rollout.take()) return;
    const { lifetime, log, clock, supervision } = this.#deps;
    try {
      await this.#launchBeside(pool, old);
    } catch (error) {
      if (lifetime.aborted) throw error;
      this.#replaceNotBefore = clock.elapsed() + supervision.backoffMaxMs;
      log.warn({ op: "pool.replace", ok: false, pool: this.#key, code: toFault(error).code });
    } finally {
      this.#rollout.done();
    }
  }

  /** Asked for, and so without waiting for its turn; whoever asked hears how it went. */
  async #renew(pool: Pool, old: SupervisedRuntime): Promise<void> {
    this.#replicas.abandonStart(new Fault("cancelled", "The plugin's containers are being replaced."));
    await this.#replicas.settled();
    this.#replicas.resetDelay();
    try {
      await this.#launchBeside(pool, old);
    } catch (error) {
      if (this.#deps.lifetime.aborted) throw error;
      await this.#requests.fail(pool, error);
    }
    this.#again = true;
  }

  async #launchBeside(pool: Pool, old: SupervisedRuntime): Promise<void> {
    const launching = { abort: new AbortController(), isExplicit: false };
    this.#launching = launching;
    try {
      const signal = AbortSignal.any([launching.abort.signal, this.#deps.lifetime]);
      const onLog = (text: string) => this.#requests.tell(text);
      this.#admit(await launch(this.#deps, { pool: desiredSpec(pool), slot: old.slot, onLog }, signal));
    } finally {
      this.#launching = undefined;
    }
    this.#drain(old, "replaced");
  }

  #drain(member: SupervisedRuntime, reason: EndAsked): void {
    const { lifetime, log } = this.#deps;
    member
      .drain(reason)
      .catch((error: unknown) => {
        if (!lifetime.aborted)
          log.warn({ op: "runtime.drain", ok: false, pool: this.#key, err: toFault(error) });
      })
      .finally(() => {
        this.#members.delete(member.live.record.id);
        this.scheduleReconcile();
      });
  }

  #inNeedOf(step: LimitsStep, pool: Pool): readonly SupervisedRuntime[] {
    return this.#members.serving.filter(
      ({ live: { record }, resources }) => stepTo(this.#deps, pool, { record, resources }) === step,
    );
  }

  #mayChange(pool: Pool): boolean {
    if (this.#deps.clock.elapsed() < this.#replaceNotBefore) return false;
    return this.#inNeedOf("none", pool).length < this.#members.serving.length;
  }
}

function isStarting({ state }: RuntimeRecord): boolean {
  return state === "starting";
}
