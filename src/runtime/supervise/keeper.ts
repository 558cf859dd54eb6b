/**
 * Supervises all pools whose lease this worker gets: `held-pools.ts` claims the leases, `row-pass.ts` compares the rows
 * with what runs, `engine-pass.ts` the engine's list, and a supervisor in `pool/` reconciles each pool.
 *
 * Guarantees: rows and engine are read on timers, so no lost event is lost for good; a pass that fails is run again by
 * the timer. Disposing it releases all pools and stops no container: plugins run on, and the next keeper adopts them.
 */
import { Fault, isFault, toFault } from "../../domain/fault.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Pool, RuntimeRecord } from "../../domain/runtime.ts";
import type { Engine } from "../../engine/engine.ts";
import { formatLabelFilter } from "../../engine/labels.ts";
import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Store } from "../../store/store.ts";
import { type Clock, poll } from "../../util/clock.ts";
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
import { EnginePass } from "./engine-pass.ts";
import { watchEngine } from "./engine-watch.ts";
import { HeldPools } from "./held-pools.ts";
import { PoolRemovals } from "./pool-removals.ts";
import { RowPass } from "./row-pass.ts";
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
  /** Builds the image of a pool that the engine has lost, and then asks for the start by `ensureReady`. */
  readonly onImageMissing: (pool: Pool) => Promise<void>;
  readonly readPressure: ReadPressure;
  readonly profile: ProfileSettings;
  readonly launch: LaunchSettings;
  readonly supervision: SupervisionSettings;
}

const LOOK_BACK_MS = 2_000;
/** Runtimes that fail together blame the host: at least so many, and such a share of all, within a few checks. */
const TOGETHER = { togetherMin: 3, togetherShare: 0.25, togetherMs: 15_000 };

export interface RunningPoolKeeper extends PoolKeeper, AsyncDisposable {
  /** Number of runtimes that take calls by plugin, in all pools that this process supervises. */
  serving(): ReadonlyMap<string, number>;
  /** Stops and removes every container and network of this instance; pools start again with the next keeper. */
  shutdownAll(signal: AbortSignal): Promise<void>;
}

/**
 * Resolves when the network exists and the first pass over the rows is done; what ran before is then being adopted.
 * Throws what engine, store or queue refused, and leaves nothing running then.
 */
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
  readonly #engineHistory: EngineHistory;
  readonly #outage: Outage;
  readonly #held: HeldPools;
  readonly #removals: PoolRemovals;
  readonly #rowPass: RowPass;
  readonly #enginePass: EnginePass;
  #isShutDown = false;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    const { store, supervision } = deps;
    this.#engineHistory = new EngineHistory(deps.clock);
    this.#outage = new Outage(deps.log, "pool.pass");
    const held = new HeldPools({
      ...deps,
      leaseMs: supervision.leaseMs,
      supervisorDeps: this.#supervisorDeps(),
      onForgotten: (key) => this.#rowPass.forgetUse(key),
      onError: (error) => this.#logUnexpected(error),
    });
    this.#held = held;
    this.#rowPass = new RowPass({
      ...deps,
      idleStopMs: supervision.idleStopMs,
      held,
      remove: (key) => this.#soon(() => this.#removals.remove(key)),
    });
    this.#removals = new PoolRemovals({ ...deps, held });
    const sweeper = new Sweeper({ ...deps, settings: supervision });
    this.#enginePass = new EnginePass({
      ...deps,
      instanceId: store.instanceId,
      held,
      sweeper,
      soon: (work) => this.#soon(work),
    });
  }

  #supervisorDeps() {
    const { supervision, launch } = this.#deps;
    const { missesMax, healthPatienceMs: patienceMs, healthReplacementsPerMinute } = supervision;
    const { strain } = this.#scope.use(
      startHostWatch(this.#deps, { ...supervision, lookBackMs: LOOK_BACK_MS, keptMs: 2 * patienceMs }),
    );
    const rules = { ...TOGETHER, missesMax, patienceMs, replacementsPerMinute: healthReplacementsPerMinute };
    return {
      ...this.#deps,
      settings: launch,
      judge: new HealthJudge(rules, strain),
      host: strain,
      engineHistory: this.#engineHistory,
      lanes: new Semaphore(launch.startsMax),
      rollout: new Semaphore(1),
      lifetime: this.#scope.signal,
    };
  }

  async start(): Promise<void> {
    const { engine, store, links, queue, supervision, profile } = this.#deps;
    const { signal } = this.#scope;
    if (profile.network === "bridge")
      await engine.ensureNetwork(networkSpec(store.instanceId, { subnet: profile.subnet }), signal);
    this.#scope.add(
      links.onEvent((event) => {
        if (event.type === "exit") this.#held.find(event.poolKey)?.noteExit(event.id);
      }),
    );
    this.#scope.use(await queue.subscribe(TOPICS.asked, (key) => this.#onAsked(key)));
    this.#scope.use(await queue.subscribe(TOPICS.used, (key) => this.#rowPass.noteUsed(key)));
    await this.#passOverRows();
    this.#loop(supervision.rowPollMs, () => this.#passOverRows());
    this.#loop(supervision.reconcileMs, () => this.#passOverEngine());
    this.#watchEvents();
  }

  #watchEvents(): void {
    const labels = formatLabelFilter({ instance: this.#deps.store.instanceId, kind: "runtime" });
    const watching = watchEngine(
      {
        ...this.#deps,
        labels,
        onEvent: (event) => {
          this.#engineHistory.note(event);
          this.#enginePass.onEvent(event);
        },
        onBroken: () => this.#engineHistory.noteBroken(),
        onSubscribed: () => this.#soon(() => this.#passOverEngine()),
      },
      this.#scope.signal,
    ).catch((error: unknown) => this.#deps.log.error({ op: "engine.events", ok: false, err: error }));
    this.#scope.add(() => watching);
  }

  serving(): ReadonlyMap<string, number> {
    const found = new Map<string, number>();
    for (const [key, { servingCount }] of this.#held.all) {
      const plugin = this.#rowPass.pluginOf(key);
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
      await this.#removals.settled(poolKey);
      const supervisor = await this.#held.hold(poolKey);
      try {
        if (supervisor !== undefined) return await supervisor.ensureReady(onLog, ending);
        onLog("another worker holds this pool's lease and is asked to start it");
        return await askForStart(this.#askDeps(), poolKey, ending);
      } catch (error) {
        // Another worker has taken the pool over meanwhile, or it was removed and is created again.
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
    await this.#removals.settled(poolKey);
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
    if ((await this.#held.hold(poolKey)) === undefined) await askForRemoval(this.#askDeps(), poolKey, signal);
    else await this.#removals.remove(poolKey);
  }

  async shutdownAll(signal: AbortSignal): Promise<void> {
    const { store, engine, folders, profile } = this.#deps;
    this.#isShutDown = true;
    await Promise.all(this.#held.all.map(([, supervisor]) => supervisor.removeAll()));
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
    await this.#held.releaseAll(reason);
    try {
      // Other workers can take these pools over now, before they next read the rows.
      for (const key of await store.pools.releaseAll(holder)) await announce(queue, TOPICS.asked, key);
    } catch (error) {
      // Leases expire anyway; a store that is away must not keep the process from ending.
      if (!isFault(error, "store_unavailable")) throw error;
    }
  }

  async #passOverRows(): Promise<void> {
    if (!this.#isShutDown) await this.#rowPass.run();
  }

  async #passOverEngine(): Promise<void> {
    if (!this.#isShutDown) await this.#enginePass.run(this.#scope.signal);
  }

  #askDeps() {
    return { ...this.#deps, rowPollMs: this.#deps.supervision.rowPollMs };
  }

  #onAsked(poolKey: string): void {
    const supervisor = this.#held.find(poolKey);
    if (supervisor === undefined) this.#soon(() => this.#passOverRows());
    else supervisor.scheduleReconcile();
  }

  #loop(everyMs: number, work: () => Promise<void>): void {
    const running = poll({ clock: this.#deps.clock, everyMs }, () => this.#guard(work), this.#scope.signal);
    this.#scope.add(() => running);
  }

  /** Runs it now, in the background. */
  #soon(work: () => Promise<void>): void {
    this.#guard(work).catch((error: unknown) => this.#logUnexpected(error));
  }

  #logUnexpected(error: unknown): void {
    this.#deps.log.error({ op: "keeper.pass", ok: false, err: toFault(error) });
  }

  /** The next pass repeats one that failed. What fails because the keeper is disposed is no failure. */
  #guard(work: () => Promise<void>): Promise<void> {
    return this.#outage.run(() =>
      work().catch((error: unknown) => {
        if (!this.#scope.signal.aborted) throw error;
      }),
    );
  }
}
