/**
 * The worker's side of all Pools: takes their leases, gives each a supervisor, feeds it with what rows, links and
 * Engine tell. Disposing it lets go of everything and stops nothing: plugins run on, the next keeper adopts them.
 */
import { Fault, isFault, toFault } from "../../domain/fault.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Pool, RuntimeRecord } from "../../domain/runtime.ts";
import type { Engine, EngineEvent } from "../../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../../engine/labels.ts";
import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Store } from "../../store/store.ts";
import { type Clock, repeat } from "../../util/clock.ts";
import { KeyedLock } from "../../util/keyed-lock.ts";
import { Scope } from "../../util/scope.ts";
import { Semaphore } from "../../util/semaphore.ts";
import { releaseInstance } from "../claim.ts";
import { type ReadPressure, startHostWatch } from "../health/host-watch.ts";
import { HealthJudge } from "../health/judge.ts";
import { EngineHistory } from "../launch/engine-history.ts";
import { networkSpec } from "../launch/profile.ts";
import type { RuntimeFolders } from "../launch/runtime-folders.ts";
import type { LogKeeper } from "../logs/log-keeper.ts";
import { type Announcer, announce, TOPICS } from "../reach/announce.ts";
import type { RuntimeLinks } from "../reach/runtime-links.ts";
import type { PoolKeeper } from "../runtimes.ts";
import type { LaunchSettings, ProfileSettings, SupervisionSettings } from "../settings.ts";
import { askForRemoval, askForReplacement, askForStart, untilStopped } from "./ask-keeper.ts";
import { watchEngine } from "./engine-watch.ts";
import { PoolSupervisor } from "./pool/supervisor.ts";
import type { SupervisorDeps } from "./pool/supervisor-deps.ts";
import { Sweeper } from "./sweep.ts";

export interface KeeperDeps {
  readonly store: Pick<Store, "instanceId" | "runtimes" | "pools" | "installations" | "processes">;
  readonly engine: Engine;
  readonly links: RuntimeLinks;
  readonly folders: RuntimeFolders;
  readonly logs: LogKeeper;
  readonly queue: Announcer;
  readonly clock: Clock;
  readonly log: Log;
  /** Unique among live processes: names the holder of leases. */
  readonly holder: string;
  /** Brings back the image of a Pool that the Engine has lost: the start behind it comes by `ensureReady`. */
  readonly onImageMissing: (pool: Pool) => Promise<void>;
  readonly readPressure: ReadPressure;
  readonly profile: ProfileSettings;
  readonly launch: LaunchSettings;
  readonly supervision: SupervisionSettings;
}

const LOOK_BACK_MS = 2_000;
/** Silent together: so many at least, and such a share of all, within the time of a few checks. */
const TOGETHER = { togetherMin: 3, togetherShare: 0.25, togetherMs: 15_000 };

export interface RunningPoolKeeper extends PoolKeeper, AsyncDisposable {
  /** Plugin to the Runtimes that take calls, in all Pools of it that are kept here. */
  serving(): ReadonlyMap<string, number>;
  /** Stops and removes every Container and network of this instance; Pools start again with the next keeper. */
  shutdownAll(signal: AbortSignal): Promise<void>;
}

/** Resolves once the network stands and the first look at the rows is done: what ran is then being adopted. */
export async function startPoolKeeper(deps: KeeperDeps): Promise<RunningPoolKeeper> {
  const keeper = new Keeper(deps);
  try {
    await keeper.start();
  } catch (error) {
    await keeper[Symbol.asyncDispose]();
    throw error;
  }
  return keeper;
}

class Keeper implements RunningPoolKeeper {
  readonly #deps: KeeperDeps;
  readonly #scope = new Scope();
  readonly #supervisorDeps: SupervisorDeps;
  readonly #supervisors = new Map<string, PoolSupervisor>();
  /** When each held lease was asked for last, by this process's clock. */
  readonly #claimedAt = new Map<string, number>();
  /** Of the Pools that there were at the last look. */
  #pluginOf: ReadonlyMap<string, string> = new Map();
  readonly #removing = new Map<string, Promise<void>>();
  readonly #usedAt = new Map<string, number>();
  readonly #leases = new KeyedLock<string>();
  readonly #sweeper: Sweeper;
  readonly #engineHistory: EngineHistory;
  #isShutDown = false;
  readonly #outage: Outage;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    this.#engineHistory = new EngineHistory(deps.clock);
    const { healthPatienceMs: patienceMs, healthReplacementsPerMinute: replacementsPerMinute } =
      deps.supervision;
    const { strain } = this.#scope.use(
      startHostWatch(deps, { ...deps.supervision, lookBackMs: LOOK_BACK_MS, keptMs: 2 * patienceMs }),
    );
    const { missesMax } = deps.supervision;
    this.#supervisorDeps = {
      ...deps,
      settings: deps.launch,
      judge: new HealthJudge({ ...TOGETHER, missesMax, patienceMs, replacementsPerMinute }, strain),
      host: strain,
      engineHistory: this.#engineHistory,
      lanes: new Semaphore(deps.launch.startsMax),
      rollout: new Semaphore(1),
      lifetime: this.#scope.signal,
      isHeld: (poolKey) => this.#ageOfLease(poolKey) < deps.supervision.leaseMs,
    };
    this.#outage = new Outage(deps.log, "pool.pass");
    this.#sweeper = new Sweeper({ ...deps, settings: deps.supervision });
  }

  async start(): Promise<void> {
    const { engine, store, links, queue, supervision, profile } = this.#deps;
    const { signal } = this.#scope;
    if (profile.network === "bridge")
      await engine.ensureNetwork(networkSpec(store.instanceId, { subnet: profile.subnet }), signal);
    this.#scope.add(
      links.onEvent((event) => {
        if (event.type === "exit") this.#supervisors.get(event.poolKey)?.noteExit(event.id);
      }),
    );
    this.#scope.use(await queue.subscribe(TOPICS.asked, (key) => this.#asked(key)));
    this.#scope.use(
      await queue.subscribe(TOPICS.used, (key) => this.#usedAt.set(key, this.#deps.clock.now())),
    );
    await this.#rowPass();
    this.#loop(supervision.rowPollMs, () => this.#rowPass());
    this.#loop(supervision.reconcileMs, () => this.#reconcile());
    const labels = formatLabelFilter({ instance: store.instanceId, kind: "runtime" });
    const watching = watchEngine(
      {
        ...this.#deps,
        labels,
        onEvent: (event) => this.#onEngineEvent(event),
        onBroken: () => this.#engineHistory.noteBroken(),
        onSubscribed: () => this.#soon(() => this.#reconcile()),
      },
      signal,
    ).catch((error: unknown) => this.#deps.log.error({ op: "engine.events", ok: false, err: error }));
    this.#scope.add(() => watching);
  }

  serving(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const [key, { servingCount }] of this.#supervisors) {
      const plugin = this.#pluginOf.get(key);
      if (plugin !== undefined) found.set(plugin, (found.get(plugin) ?? 0) + servingCount);
    }
    return found;
  }

  async ensureReady(
    poolKey: string,
    { onLog }: { onLog: (text: string) => void },
    signal: AbortSignal,
  ): Promise<RuntimeRecord> {
    const ending = AbortSignal.any([signal, this.#scope.signal]);
    for (;;) {
      ending.throwIfAborted();
      await this.#removing.get(poolKey)?.catch(() => undefined);
      const supervisor = await this.#hold(poolKey);
      try {
        if (supervisor !== undefined) return await supervisor.ensureReady(onLog, ending);
        onLog("another worker keeps this pool: it is asked to start it");
        return await askForStart(this.#askDeps(), poolKey, ending);
      } catch (error) {
        // Another worker has taken the Pool over meanwhile, or it was removed for others and is made anew.
        if (!isFault(error, "lease_lost")) throw error;
      }
    }
  }

  async replace(
    poolKey: string,
    { limits }: { limits?: Limits },
    signal: AbortSignal,
  ): Promise<readonly RuntimeRecord[]> {
    const ending = AbortSignal.any([signal, this.#scope.signal]);
    await this.#removing.get(poolKey)?.catch(() => undefined);
    return await askForReplacement(this.#askDeps(), { poolKey, limits }, ending);
  }

  async stopIfIdle(
    poolKey: string,
    { waitMs }: { readonly waitMs: number },
    signal: AbortSignal,
  ): Promise<boolean> {
    if (!(await this.#deps.store.pools.unwantIdle(poolKey))) return true;
    const ending = AbortSignal.any([signal, this.#scope.signal]);
    return await untilStopped(this.#askDeps(), { poolKey, waitMs }, ending);
  }

  async removeIfUnused(poolKey: string, signal: AbortSignal): Promise<void> {
    if (!(await this.#deps.store.pools.unwantUnused(poolKey))) return;
    if ((await this.#hold(poolKey)) === undefined) await askForRemoval(this.#askDeps(), poolKey, signal);
    else await this.#remove(poolKey);
  }

  async shutdownAll(signal: AbortSignal): Promise<void> {
    const { store, engine, folders, profile } = this.#deps;
    this.#isShutDown = true;
    await Promise.all([...this.#supervisors.values()].map((supervisor) => supervisor.removeAll()));
    const labels = formatLabelFilter({ instance: store.instanceId, kind: "runtime" });
    for (const { id } of await engine.listContainers(labels, signal))
      await engine.removeContainer(id, signal);
    for (const { id } of await store.runtimes.listLive()) await store.runtimes.end(id, { reason: "stopped" });
    for (const id of await folders.list()) await folders.remove(id);
    if (profile.network === "bridge") {
      const { name } = networkSpec(store.instanceId, { subnet: profile.subnet });
      await engine.removeNetwork(name, signal);
    }
    await releaseInstance(engine, store.instanceId, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { store, holder, queue } = this.#deps;
    const reason = new Fault("shutting_down", "Berth is shutting down.");
    await this.#scope.close(reason);
    const supervisors = [...this.#supervisors.values()];
    for (const supervisor of supervisors) supervisor.release(reason);
    await Promise.all(supervisors.map((supervisor) => supervisor.settled()));
    this.#supervisors.clear();
    try {
      // Their turn has come: without a word of it they would wait for their next look at the rows.
      for (const key of await store.pools.releaseAll(holder)) await announce(queue, TOPICS.asked, key);
    } catch (error) {
      // Leases run out by themselves; a Store that is away must not keep the process from ending.
      if (!isFault(error, "store_unavailable")) throw error;
    }
  }

  /** Rows against what is done here: leases, starts that were asked for, Pools that are not wanted any more. */
  async #rowPass(): Promise<void> {
    if (this.#isShutDown) return;
    const { store, links } = this.#deps;
    const linked = links.ids();
    // Only what was held before the rows were read can be gone: a Pool may be made, and started, meanwhile.
    const held = [...this.#supervisors];
    const [pools, live] = await Promise.all([store.pools.list(), store.runtimes.listLive()]);
    const alive = new Set(live.map(({ id }) => id));
    await Promise.all(linked.filter((id) => !alive.has(id)).map((id) => links.close(id)));
    const byPool = Map.groupBy(live, ({ poolKey }) => poolKey);
    for (const pool of pools) await this.#look(pool, byPool.get(pool.key) ?? []);
    this.#pluginOf = new Map(pools.map(({ key, pluginId }) => [key, pluginId]));
    const known = new Set(this.#pluginOf.keys());
    for (const [key, supervisor] of held) {
      if (known.has(key) || this.#supervisors.get(key) !== supervisor) continue;
      this.#forget(key);
      supervisor.release(new Error("the pool is gone"));
    }
  }

  async #look(pool: Pool, live: readonly RuntimeRecord[]): Promise<void> {
    const isAsked = pool.wanted || pool.removalAsked || pool.retiring;
    const isNeeded = isAsked || live.length > 0 || this.#supervisors.has(pool.key);
    const supervisor = isNeeded ? await this.#hold(pool.key) : undefined;
    if (supervisor === undefined) return;
    if (!pool.wanted) supervisor.abandonStart(new Fault("cancelled", "The plugin is not wanted any more."));
    const hasRetired = pool.retiring && live.length === 0 && supervisor.isEmpty;
    if (pool.removalAsked || hasRetired) this.#soon(() => this.#remove(pool.key));
    if (this.#isIdle(pool, supervisor)) {
      await this.#deps.store.pools.setState(pool.key, {
        state: "idle",
        cause: undefined,
        nextStartAt: undefined,
      });
      supervisor.scheduleReconcile();
    } else if (supervisor.needsTurn(pool, live)) supervisor.scheduleReconcile();
  }

  #isIdle(pool: Pool, supervisor: PoolSupervisor): boolean {
    const { clock, supervision } = this.#deps;
    const { idleStopMs } = supervision;
    if (idleStopMs === undefined || pool.state !== "ready" || !supervisor.isServing) return false;
    const usedAt = this.#usedAt.get(pool.key);
    if (usedAt === undefined) this.#usedAt.set(pool.key, clock.now());
    return usedAt !== undefined && clock.now() - usedAt >= idleStopMs;
  }

  /** The Pool's supervisor while this process holds the lease, renewed in good time; undefined while another does. */
  #hold(poolKey: string): Promise<PoolSupervisor | undefined> {
    return this.#leases.run(poolKey, async () => {
      const { store, holder, clock, supervision } = this.#deps;
      const held = this.#supervisors.get(poolKey);
      if (held !== undefined && this.#ageOfLease(poolKey) < supervision.leaseMs / 3) return held;
      const asked = clock.now();
      const claimed = await store.pools.claim(poolKey, holder, supervision.leaseMs);
      if (claimed === undefined) {
        this.#forget(poolKey);
        held?.release(new Fault("lease_lost", "Another process keeps this pool now."));
        held?.settled().catch((error: unknown) => this.#unexpected(error));
        return undefined;
      }
      this.#claimedAt.set(poolKey, asked);
      const supervisor = held ?? new PoolSupervisor(poolKey, this.#supervisorDeps);
      this.#supervisors.set(poolKey, supervisor);
      return supervisor;
    });
  }

  #ageOfLease(poolKey: string): number {
    const age = this.#deps.clock.now() - (this.#claimedAt.get(poolKey) ?? Number.NEGATIVE_INFINITY);
    // The clock was set back since: how old it is cannot be told, so it is asked for again.
    return age < 0 ? Number.POSITIVE_INFINITY : age;
  }

  #askDeps() {
    return { ...this.#deps, rowPollMs: this.#deps.supervision.rowPollMs };
  }

  /** Only under the lease; asked for again while it is being done, it joins. */
  #remove(poolKey: string): Promise<void> {
    const removing =
      this.#removing.get(poolKey) ??
      this.#removeNow(poolKey).finally(() => void this.#removing.delete(poolKey));
    this.#removing.set(poolKey, removing);
    return removing;
  }

  async #removeNow(poolKey: string): Promise<void> {
    const { store, logs, queue } = this.#deps;
    await this.#supervisors.get(poolKey)?.removeAll();
    this.#forget(poolKey);
    // Somebody may have come to need it meanwhile: then only its Containers went, and the next start makes new ones.
    if (await store.pools.removeUnused(poolKey)) {
      await logs.removePool(poolKey);
    } else {
      await store.pools.setWanted(poolKey, true);
      await store.pools.askRemoval(poolKey, false);
    }
    await announce(queue, TOPICS.changed, poolKey);
  }

  #forget(poolKey: string): void {
    this.#supervisors.delete(poolKey);
    this.#claimedAt.delete(poolKey);
    this.#usedAt.delete(poolKey);
  }

  /** The Engine's list against what is served here, then the orphans in it. */
  async #reconcile(): Promise<void> {
    if (this.#isShutDown) return;
    const { engine, store, log } = this.#deps;
    const labels = formatLabelFilter({ instance: store.instanceId, kind: "runtime" });
    const containers = await engine.listContainers(labels, this.#scope.signal);
    const running = new Set(containers.filter(({ phase }) => phase === "running").map(({ id }) => id));
    let corrections = 0;
    for (const supervisor of this.#supervisors.values()) {
      for (const id of supervisor.missingFrom(running)) {
        corrections += 1;
        await supervisor.noteDied(id);
      }
    }
    const orphans = await this.#sweeper.sweep(containers, this.#scope.signal);
    if (corrections + orphans.length > 0) {
      log.warn({ op: "runtime.reconcile", ok: true, corrections, orphans: orphans.length });
    }
  }

  #onEngineEvent(event: EngineEvent): void {
    this.#engineHistory.note(event);
    const { action, labels } = event;
    const parsed = parseLabels(labels);
    const supervisor = parsed?.pool === undefined ? undefined : this.#supervisors.get(parsed.pool);
    const id = parsed?.runtime === undefined ? undefined : this.#deps.links.idOf(parsed.runtime);
    if (supervisor === undefined || id === undefined) return;
    // By the Container's id: labels are anybody's to copy.
    if (action === "oom") supervisor.noteOom(id, event.containerId);
    if (action === "die" || action === "destroy") this.#soon(() => supervisor.noteDied(id));
  }

  #asked(poolKey: string): void {
    const supervisor = this.#supervisors.get(poolKey);
    if (supervisor === undefined) this.#soon(() => this.#rowPass());
    else supervisor.scheduleReconcile();
  }

  #loop(everyMs: number, work: () => Promise<void>): void {
    const running = repeat({ clock: this.#deps.clock, everyMs }, () => this.#guard(work), this.#scope.signal);
    this.#scope.add(() => running);
  }

  /** Nobody waits for it. */
  #soon(work: () => Promise<void>): void {
    this.#guard(work).catch((error: unknown) => this.#unexpected(error));
  }

  /** What the work itself did not report. */
  #unexpected(error: unknown): void {
    this.#deps.log.error({ op: "keeper.pass", ok: false, err: toFault(error) });
  }

  /** A pass that fails is tried again by the next one; what fails because everything ends is no failure. */
  #guard(work: () => Promise<void>): Promise<void> {
    return this.#outage.run(() =>
      work().catch((error: unknown) => {
        if (!this.#scope.signal.aborted) throw error;
      }),
    );
  }
}
