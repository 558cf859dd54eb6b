/**
 * The worker's side of all Pools: takes their leases, gives each a supervisor, feeds it with what rows, links and
 * Engine tell. Disposing it lets go of everything and stops nothing: plugins run on, the next keeper adopts them.
 */
import { Fault, isFault } from "../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../domain/runtime.ts";
import type { Engine, EngineEvent } from "../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../engine/labels.ts";
import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import type { Store } from "../store/store.ts";
import { type Clock, repeat } from "../util/clock.ts";
import { KeyedLock } from "../util/keyed-lock.ts";
import { Scope } from "../util/scope.ts";
import { type Announcer, announce, TOPICS } from "./announce.ts";
import { watchEngine } from "./engine-watch.ts";
import type { RuntimeFolders } from "./folder.ts";
import { Lanes } from "./lanes.ts";
import type { RuntimeLinks } from "./links.ts";
import type { LogKeeper } from "./logs/log-keeper.ts";
import { PoolSupervisor } from "./pool-supervisor.ts";
import { networkName, networkSpec } from "./profile.ts";
import type { PoolKeeper } from "./runtimes.ts";
import type { LaunchSettings, ProfileSettings, SupervisionSettings } from "./settings.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";
import { Sweeper } from "./sweep.ts";

export interface KeeperDeps {
  readonly store: Pick<Store, "instanceId" | "runtimes" | "pools" | "installations">;
  readonly engine: Engine;
  readonly links: RuntimeLinks;
  readonly folders: RuntimeFolders;
  readonly logs: LogKeeper;
  readonly queue: Announcer;
  readonly clock: Clock;
  readonly log: Log;
  /** Unique among live processes: names the holder of leases. */
  readonly holder: string;
  readonly profile: ProfileSettings;
  readonly launch: LaunchSettings;
  readonly supervision: SupervisionSettings;
}

export interface RunningPoolKeeper extends PoolKeeper, AsyncDisposable {
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

/** How often somebody who needs a lease that another holds looks again. */
const LEASE_LOOK_MS = 200;

class Keeper implements RunningPoolKeeper {
  readonly #deps: KeeperDeps;
  readonly #scope = new Scope();
  readonly #supervisorDeps: SupervisorDeps;
  readonly #supervisors = new Map<string, PoolSupervisor>();
  /** When each held lease must be renewed. */
  readonly #renewAt = new Map<string, number>();
  readonly #usedAt = new Map<string, number>();
  readonly #leases = new KeyedLock<string>();
  readonly #sweeper: Sweeper;
  #isShutDown = false;
  readonly #outage: Outage;

  constructor(deps: KeeperDeps) {
    this.#deps = deps;
    this.#supervisorDeps = {
      ...deps,
      settings: deps.launch,
      lanes: new Lanes(deps.launch.startsMax),
      rollout: new Lanes(1),
      lifetime: this.#scope.signal,
    };
    this.#outage = new Outage(deps.log, "pool.pass");
    this.#sweeper = new Sweeper({ ...deps, settings: deps.supervision });
  }

  async start(): Promise<void> {
    const { engine, store, links, queue, supervision, profile } = this.#deps;
    const { signal } = this.#scope;
    if (profile.network === "bridge") await engine.ensureNetwork(networkSpec(store.instanceId), signal);
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
        onSubscribed: () => void this.#guard(() => this.#reconcile()),
      },
      signal,
    ).catch((error: unknown) => this.#deps.log.error({ op: "engine.events", ok: false, err: error }));
    this.#scope.add(() => watching);
  }

  async ensureReady(
    poolKey: string,
    { onLog }: { onLog: (text: string) => void },
    signal: AbortSignal,
  ): Promise<RuntimeRecord> {
    const supervisor = await this.#mustHold(poolKey, signal);
    return await supervisor.ensureReady(onLog, signal);
  }

  async removeIfUnused(poolKey: string, signal: AbortSignal): Promise<void> {
    const { store, logs, queue } = this.#deps;
    if ((await store.pools.find(poolKey)) === undefined) return;
    if ((await store.pools.countInstallations(poolKey)) > 0) return;
    await store.pools.setWanted(poolKey, false);
    const supervisor = await this.#mustHold(poolKey, signal);
    await supervisor.removeAll();
    this.#forget(poolKey);
    // Somebody may have come to need it meanwhile: then only its Containers went, and the next start makes new ones.
    if ((await store.pools.countInstallations(poolKey)) === 0) {
      await store.pools.remove(poolKey);
      await logs.removePool(poolKey);
    } else {
      await store.pools.setWanted(poolKey, true);
    }
    await announce(queue, TOPICS.changed, poolKey);
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
    if (profile.network === "bridge") await engine.removeNetwork(networkName(store.instanceId), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { store, holder } = this.#deps;
    const reason = new Fault("shutting_down", "Berth is shutting down.");
    await this.#scope.close(reason);
    const supervisors = [...this.#supervisors.values()];
    for (const supervisor of supervisors) supervisor.release(reason);
    await Promise.all(supervisors.map((supervisor) => supervisor.settled()));
    this.#supervisors.clear();
    try {
      await store.pools.releaseAll(holder);
    } catch (error) {
      // Leases run out by themselves; a Store that is away must not keep the process from ending.
      if (!isFault(error, "store_unavailable")) throw error;
    }
  }

  /** Rows against what is done here: leases, starts that were asked for, Pools that are not wanted any more. */
  async #rowPass(): Promise<void> {
    if (this.#isShutDown) return;
    const { store } = this.#deps;
    // Only what was held before the rows were read can be gone: a Pool may be made, and started, meanwhile.
    const held = [...this.#supervisors];
    const [pools, live] = await Promise.all([store.pools.list(), store.runtimes.listLive()]);
    const byPool = Map.groupBy(live, ({ poolKey }) => poolKey);
    for (const pool of pools) await this.#look(pool, byPool.get(pool.key) ?? []);
    const known = new Set(pools.map(({ key }) => key));
    for (const [key, supervisor] of held) {
      if (known.has(key) || this.#supervisors.get(key) !== supervisor) continue;
      this.#forget(key);
      supervisor.release(new Error("the pool is gone"));
    }
  }

  async #look(pool: Pool, live: readonly RuntimeRecord[]): Promise<void> {
    const isNeeded = pool.wanted || live.length > 0 || this.#supervisors.has(pool.key);
    const supervisor = isNeeded ? await this.#hold(pool.key) : undefined;
    if (supervisor === undefined) return;
    if (!pool.wanted) supervisor.abandonStart(new Fault("cancelled", "The plugin is not wanted any more."));
    if (this.#isIdle(pool, supervisor)) {
      await this.#deps.store.pools.setState(pool.key, {
        state: "idle",
        cause: undefined,
        nextStartAt: undefined,
      });
      supervisor.kick();
    } else if (supervisor.needsTurn(pool, live)) supervisor.kick();
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
      if (held !== undefined && (this.#renewAt.get(poolKey) ?? 0) > clock.now()) return held;
      const claimed = await store.pools.claim(poolKey, holder, supervision.leaseMs);
      if (claimed === undefined) {
        this.#forget(poolKey);
        held?.release(new Fault("lease_lost", "Another process keeps this pool now."));
        return undefined;
      }
      this.#renewAt.set(poolKey, clock.now() + supervision.leaseMs / 3);
      const supervisor = held ?? new PoolSupervisor(poolKey, this.#supervisorDeps);
      this.#supervisors.set(poolKey, supervisor);
      return supervisor;
    });
  }

  /** Waits for the lease where another process still holds it. */
  async #mustHold(poolKey: string, signal: AbortSignal): Promise<PoolSupervisor> {
    const both = AbortSignal.any([signal, this.#scope.signal]);
    for (;;) {
      both.throwIfAborted();
      const supervisor = await this.#hold(poolKey);
      if (supervisor !== undefined) return supervisor;
      if ((await this.#deps.store.pools.find(poolKey)) === undefined) {
        throw new Fault("not_found", "There is no such pool.", { context: { poolKey } });
      }
      await this.#deps.clock.sleep(LEASE_LOOK_MS, both);
    }
  }

  #forget(poolKey: string): void {
    this.#supervisors.delete(poolKey);
    this.#renewAt.delete(poolKey);
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

  #onEngineEvent({ action, labels }: EngineEvent): void {
    const parsed = parseLabels(labels);
    const supervisor = parsed?.pool === undefined ? undefined : this.#supervisors.get(parsed.pool);
    const id = parsed?.runtime === undefined ? undefined : this.#deps.links.idOf(parsed.runtime);
    if (supervisor === undefined || id === undefined) return;
    if (action === "oom") supervisor.noteOom(id);
    if (action === "die" || action === "destroy") void this.#guard(() => supervisor.noteDied(id));
  }

  #asked(poolKey: string): void {
    const supervisor = this.#supervisors.get(poolKey);
    if (supervisor === undefined) void this.#guard(() => this.#rowPass());
    else supervisor.kick();
  }

  #loop(everyMs: number, work: () => Promise<void>): void {
    const running = repeat({ clock: this.#deps.clock, everyMs }, () => this.#guard(work), this.#scope.signal);
    this.#scope.add(() => running);
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
