/**
 * Keeps one Pool as its row wants it, while this process holds the Pool's lease. All work is done in turns, one at a
 * time: a turn reads the rows, looks at what lives, and does what is missing. Events only ask for the next turn, so
 * a lost event costs time and never truth.
 */
import { Fault, toFault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Pool, RuntimeRecord } from "../../domain/runtime.ts";
import { announce, TOPICS } from "../announce.ts";
import { exitOf } from "../exit-cause.ts";
import { formatExit } from "../exit-message.ts";
import { type LiveRuntime, launch, settle, undo } from "../launch.ts";
import { findRecovery } from "../recover.ts";
import { aimOf, isOutdated, isReplaceAsked } from "./aim.ts";
import { markInstallations } from "./crash-loop.ts";
import { PoolFate } from "./fate.ts";
import { Member } from "./member.ts";
import { Members } from "./members.ts";
import { RolloutTurn } from "./rollout.ts";
import { isAsked, StartRequests } from "./start-requests.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

const ROWS = 20;

export class PoolSupervisor {
  readonly #key: string;
  readonly #deps: SupervisorDeps;
  readonly #released = new AbortController();
  readonly #fate: PoolFate;
  readonly #rollout: RolloutTurn;
  readonly #requests: StartRequests;
  readonly #members = new Members();
  #turning: Promise<void> | undefined;
  #again = false;
  #hasLooked = false;
  #isRemoved = false;
  #isOut = false;
  #launching: { readonly abort: AbortController; readonly isExplicit: boolean } | undefined;
  #replaceNotBefore = 0;

  constructor(key: string, deps: SupervisorDeps) {
    this.#key = key;
    // Letting go of the Pool is, for everything below, the same as the end of the process.
    this.#deps = { ...deps, lifetime: AbortSignal.any([deps.lifetime, this.#released.signal]) };
    this.#requests = new StartRequests(this.#deps);
    this.#fate = new PoolFate(key, this.#deps, () => this.kick());
    this.#rollout = new RolloutTurn(deps.rollout, () => this.kick());
  }

  get isServing(): boolean {
    return this.#members.serving !== undefined;
  }

  /** Nothing of it lives, as far as this process knows. */
  get isEmpty(): boolean {
    return this.#hasLooked && this.#members.all.length === 0 && this.#launching === undefined;
  }

  /** What the rows say against what is done here: true where a turn has something to do. */
  needsTurn(pool: Pool, live: readonly RuntimeRecord[]): boolean {
    if (!this.#hasLooked || this.#isOut || isAsked(pool) || this.#members.haveFallen) return true;
    if (live.some((record) => this.#members.isNews(record))) return true;
    if (!pool.wanted || pool.state === "idle") return this.isServing;
    if (this.isServing) return pool.state !== "ready" || this.#mayReplace(pool);
    if (pool.state === "crash_loop") return true;
    return pool.state !== "backoff" || !this.#fate.isWaiting;
  }

  /** Asks for a turn; while one runs, for another behind it. */
  kick(): void {
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
    this.kick();
    return ready;
  }

  /** The runner said that its plugin ended. */
  noteExit(id: RuntimeId): void {
    const member = this.#members.find(id);
    if (member === undefined || member.draining) return;
    member.fall(undefined);
    this.kick();
  }

  /** The Engine may know of an end: it is asked, and what it says reaches waiting calls at once. */
  async noteDied(id: RuntimeId): Promise<void> {
    const member = this.#members.find(id);
    if (member === undefined) return;
    const state = await this.#deps.engine.findContainer(member.live.containerId, this.#deps.lifetime);
    if (state?.phase === "running") return;
    const exit = exitOf(undefined, state);
    this.#deps.links.noteExit(id, exit);
    void announce(this.#deps.queue, TOPICS.exited, formatExit({ id, exit }));
    this.noteExit(id);
  }

  /** The kernel killed something in it: what is left of it is not trusted any more. */
  noteOom(id: RuntimeId): void {
    const member = this.#members.find(id);
    if (member === undefined || member.draining) return;
    member.fall("oom");
    this.kick();
  }

  /** Runtimes of which the Engine's list knows nothing. */
  missingFrom(running: ReadonlySet<string>): readonly RuntimeId[] {
    return this.#members.missingFrom(running);
  }

  /** A start in progress has become pointless. */
  abandonStart(reason: Error): void {
    this.#launching?.abort.abort(reason);
  }

  /** Ends every Runtime of the Pool at once; nothing starts afterwards. Throws what the Engine refused. */
  async removeAll(): Promise<void> {
    this.#isRemoved = true;
    this.abandonStart(new Error("the pool is being removed"));
    // One more turn even where none was due: it learns of what an earlier keeper left.
    this.kick();
    await this.settled();
    await Promise.all(this.#members.all.map((member) => member.end("stopped")));
    this.release(new Fault("lease_lost", "The pool was removed."));
  }

  /** Lets go: Containers run on, nothing is watched any more. */
  release(reason: Error): void {
    this.#released.abort(reason);
    this.#fate.stop();
    this.#rollout.close();
    for (const member of this.#members.all) member.release();
    this.#requests.letGo(reason);
  }

  /** Resolves when nothing is being done any more; after `release`, when the logs are another's to follow. */
  async settled(): Promise<void> {
    while (this.#turning !== undefined) await this.#turning;
    if (this.#released.signal.aborted) await this.#deps.logs.stopPool(this.#key);
  }

  async #turns(): Promise<void> {
    while (this.#again && !this.#deps.lifetime.aborted) {
      this.#again = false;
      try {
        await this.#turn();
        this.#isOut = false;
      } catch (error) {
        if (this.#deps.lifetime.aborted) return;
        const { code } = toFault(error);
        // Those that asked by the row wait for the next turn.
        this.#requests.letGo(error);
        // Said once; the row pass asks again until it goes well.
        if (!this.#isOut)
          this.#deps.log.error({ op: "pool.turn", ok: false, pool: this.#key, code, err: error });
        this.#isOut = true;
        return;
      }
    }
  }

  async #turn(): Promise<void> {
    const { store } = this.#deps;
    // A process that stood still may have lost the lease without knowing: it learns that first.
    if (!this.#deps.isHeld(this.#key)) throw new Fault("lease_lost", "The lease of this pool has run out.");
    const rows = await store.runtimes.listOfPool(this.#key, ROWS);
    this.#fate.seed(rows);
    for (const record of rows.filter(({ state }) => state !== "ended")) {
      const member = this.#members.find(record.id);
      if (member === undefined) await this.#recover(record);
      else if (record.state === "draining" && !member.draining) this.#drain(member, "retired");
    }
    this.#hasLooked = true;
    if (this.#isRemoved) return;
    for (const member of this.#members.all) {
      if (member.fallen && !member.draining) await this.#bury(member);
    }
    const pool = await store.pools.find(this.#key);
    if (pool === undefined) this.#requests.letGo(new Fault("not_found", "The pool is gone."));
    else await this.#decide(pool, rows[0]);
  }

  async #decide(pool: Pool, last: RuntimeRecord | undefined): Promise<void> {
    const serving = this.#members.serving;
    const isExplicit = this.#requests.stand(pool);
    const isWanted = pool.wanted && (pool.state !== "idle" || isExplicit);
    if (serving !== undefined && isWanted) {
      // A keeper that died in the middle of a replacement left two of them.
      for (const member of this.#members.surplus) this.#drain(member, "replaced");
      if (isReplaceAsked(this.#deps, pool, serving.live.record)) return await this.#renew(pool, serving);
      await this.#markReady(pool, serving);
      if (this.#isOutdated(pool)) await this.#replace(pool, serving);
      else this.#rollout.done();
      return;
    }
    this.#rollout.done();
    if (!isWanted) return await this.#stopServing(pool);
    const isChanged = last !== undefined && isOutdated(this.#deps, pool, last);
    if (isExplicit || (pool.state === "crash_loop" && isChanged)) this.#fate.forgive();
    else if (pool.state === "crash_loop") return;
    else if (pool.state === "backoff" && !this.#fate.isDue(pool)) return;
    await this.#start(pool, isExplicit);
  }

  async #start(pool: Pool, isExplicit: boolean): Promise<void> {
    await this.#fate.setState("starting");
    const onLog = (text: string) => this.#requests.tell(text);
    await this.#attempt({ isExplicit, pool }, (signal) =>
      launch(this.#deps, { pool: aimOf(pool), onLog }, signal),
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
      await this.#fate.startFailed(error, { isExplicit, isAbandoned, pool });
      await this.#requests.fail(pool, error);
      this.#again = true;
    } finally {
      this.#launching = undefined;
    }
  }

  async #recover(record: RuntimeRecord): Promise<void> {
    const { store, engine, links, folders, logs, clock, settings, log, lifetime } = this.#deps;
    const found = await findRecovery({ engine, instanceId: store.instanceId }, record, lifetime);
    log.info({ op: "runtime.recover", ok: true, runtime: record.id, pool: this.#key, ...found });
    if (found.action === "forget") {
      const end = { reason: "lost", message: "Its container was gone." } as const;
      await store.runtimes.end(record.id, end);
      await links.close(record.id);
      await folders.remove(record.id);
      if (found.wasRunning) {
        await this.#countFailure({ id: record.id, end, logs: [] }, this.#fate.healthyFor(record));
      }
      return;
    }
    const live: LiveRuntime = { record, containerId: found.containerId };
    await folders.prepare(record.id);
    await links.open(record);
    logs.follow({ ...record, containerId: found.containerId });
    if (found.action === "bury") {
      this.#add(live, record.readyAt?.getTime() ?? clock.now()).fall(undefined);
      return;
    }
    if (record.state !== "starting" || this.#isRemoved) {
      const member = this.#admit(live, record.readyAt?.getTime());
      if (record.state === "draining") this.#drain(member, "replaced");
      return;
    }
    const pool = await store.pools.find(this.#key);
    await this.#attempt({ isExplicit: this.#requests.stand(pool), pool }, async (signal) => {
      try {
        if (found.action === "start") await engine.startContainer(found.containerId, signal);
        await settle(this.#deps, live, { until: clock.now() + settings.startTimeoutMs, signal });
        return live;
      } catch (error) {
        if (!lifetime.aborted) await undo(this.#deps, live, error);
        throw error;
      }
    });
  }

  #admit(live: LiveRuntime, readyAt = this.#deps.clock.now()): Member {
    const member = this.#add(live, readyAt);
    member.watch({
      onUnhealthy: (why) => this.#fate.showHealth(live.record.id, why),
      onHealthy: () => this.#fate.showHealth(live.record.id, undefined),
      onDead: (why) => {
        member.fall("unhealthy", `The runtime did not answer its health check: ${why}.`);
        this.kick();
      },
    });
    // It may have ended before anybody listened for it.
    if (this.#deps.links.exitOf(live.record.id) !== undefined) member.fall(undefined);
    return member;
  }

  #add(live: LiveRuntime, readyAt: number): Member {
    const member = new Member(this.#deps, live, readyAt);
    this.#members.add(member);
    return member;
  }

  async #bury(member: Member): Promise<void> {
    const ended = await member.end();
    this.#members.delete(ended.id);
    await this.#countFailure(ended, this.#deps.clock.now() - member.readyAt);
  }

  /** Only the end of what served counts against the Pool: another may be serving already. */
  async #countFailure(ended: Parameters<PoolFate["failed"]>[0], healthyForMs: number): Promise<void> {
    const pool = await this.#deps.store.pools.find(this.#key);
    if (pool === undefined || !pool.wanted || this.isServing) return;
    if (pool.state === "idle" || pool.state === "crash_loop") return;
    await this.#fate.failed(ended, healthyForMs);
  }

  async #markReady(pool: Pool, member: Member): Promise<void> {
    const { store } = this.#deps;
    if (pool.state !== "ready") {
      await this.#fate.setState("ready");
      await markInstallations(store, this.#key, { state: "ready", cause: undefined });
    }
    await this.#requests.succeed(pool, member.live.record, (id) => store.runtimes.find(id));
  }

  async #stopServing(pool: Pool): Promise<void> {
    if (pool.state !== "idle") await this.#fate.setState("idle");
    const fault = new Fault("plugin_disabled", "No runtime of this plugin is wanted now.");
    await this.#requests.fail(pool, fault);
    for (const member of this.#members.all) if (!member.draining) this.#drain(member, "stopped");
  }

  /** The old one serves until the new one is ready; a failed replacement leaves it serving. */
  async #replace(pool: Pool, old: Member): Promise<void> {
    if (!this.#mayReplace(pool) || !this.#rollout.take()) return;
    const { lifetime, log, clock, supervision } = this.#deps;
    try {
      await this.#launchBeside(pool, old);
    } catch (error) {
      if (lifetime.aborted) throw error;
      this.#replaceNotBefore = clock.now() + supervision.backoffMaxMs;
      log.warn({ op: "pool.replace", ok: false, pool: this.#key, code: toFault(error).code });
    } finally {
      this.#rollout.done();
    }
  }

  /** Asked for, and so without waiting for its turn; whoever asked hears how it went. */
  async #renew(pool: Pool, old: Member): Promise<void> {
    try {
      await this.#launchBeside(pool, old);
    } catch (error) {
      if (this.#deps.lifetime.aborted) throw error;
      await this.#requests.fail(pool, error);
    }
    this.#again = true;
  }

  async #launchBeside(pool: Pool, old: Member): Promise<void> {
    const launching = { abort: new AbortController(), isExplicit: false };
    this.#launching = launching;
    try {
      const signal = AbortSignal.any([launching.abort.signal, this.#deps.lifetime]);
      const onLog = (text: string) => this.#requests.tell(text);
      this.#admit(await launch(this.#deps, { pool: aimOf(pool), onLog }, signal));
    } finally {
      this.#launching = undefined;
    }
    this.#drain(old, "replaced");
  }

  #drain(member: Member, reason: "replaced" | "retired" | "stopped"): void {
    const { lifetime, log } = this.#deps;
    member
      .drain(reason)
      .catch((error: unknown) => {
        if (!lifetime.aborted)
          log.warn({ op: "runtime.drain", ok: false, pool: this.#key, err: toFault(error) });
      })
      .finally(() => {
        this.#members.delete(member.live.record.id);
        this.kick();
      });
  }

  #isOutdated(pool: Pool): boolean {
    const serving = this.#members.serving;
    return serving !== undefined && isOutdated(this.#deps, pool, serving.live.record);
  }

  #mayReplace(pool: Pool): boolean {
    return this.#isOutdated(pool) && this.#deps.clock.now() >= this.#replaceNotBefore;
  }
}
