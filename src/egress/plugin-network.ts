/**
 * The network of plugins and builds: the bridges, their rules, and the log of the rules' decisions. Guarantees: no
 * container is made on a bridge before its rules are set; where rules cannot be set, plugins get no network.
 */
import { isDeepStrictEqual } from "node:util";
import type { ContainerSpec } from "../domain/container.ts";
import { type EgressMode, type EgressPolicy, withinCeiling } from "../domain/egress.ts";
import { Fault, isFault, toFault } from "../domain/fault.ts";
import type { Engine, NetworkAddresses } from "../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../engine/labels.ts";
import { type BridgeKind, networkSpec } from "../runtime/launch/profile.ts";
import type { ProfileSettings } from "../runtime/settings.ts";
import { watchEngine } from "../runtime/supervise/engine-watch.ts";
import type { Store } from "../store/store.ts";
import { poll, repeat } from "../util/clock.ts";
import { Scope } from "../util/scope.ts";
import { type FollowGuardDeps, followGuard } from "./follow-guard.ts";
import { ensureGuard, type GuardDeps, type GuardState, removeGuard } from "./guard.ts";
import { guardedEngine } from "./guarded-engine.ts";
import { type AllowOf, writeList, writeLists } from "./lists.ts";

export interface PluginNetworkDeps extends GuardDeps, FollowGuardDeps {
  readonly store: FollowGuardDeps["store"] & { readonly egress: Pick<Store["egress"], "list"> };
  /** How often the guard is checked. */
  readonly everyMs: number;
  /** How often the policies of installations are read. */
  readonly pollMs: number;
}

export interface PluginNetwork extends AsyncDisposable {
  /** The network of plugins; none if rules cannot be set. */
  readonly profile: Pick<ProfileSettings, "network" | "subnet" | "hosts" | "listDns" | "networkOf">;
  /** The network of builds. */
  readonly buildNetwork: string;
  /** Makes no container on the bridges before their rules are set. */
  readonly engine: Engine;
  /** Removes networks, rules and guard, for a Berth without containers. */
  remove(signal: AbortSignal): Promise<void>;
}

/** The network of builds if rules cannot be set: a build runs no code of a package while it has a network. */
const DEFAULT_BRIDGE = "bridge";
const KINDS = ["open", "list"] as const satisfies readonly BridgeKind[];

/** Resolves when the rules are set, or when it is logged that they cannot be set. Throws what the engine refused. */
export async function startPluginNetwork(deps: PluginNetworkDeps): Promise<PluginNetwork> {
  const network = new GuardedNetwork(deps);
  try {
    if (deps.settings.mode !== "none") await network.start();
    return network;
  } catch (error) {
    await network[Symbol.asyncDispose]();
    throw error;
  }
}

class GuardedNetwork implements PluginNetwork {
  readonly #deps: PluginNetworkDeps;
  readonly #scope = new Scope();
  readonly engine: Engine;
  #state: GuardState | undefined;
  /** Policies by pool, as read last. */
  #policies: ReadonlyMap<string, EgressPolicy> = new Map();
  #addresses: Partial<Record<BridgeKind, NetworkAddresses>> = {};
  #ensuring: Promise<GuardState> | undefined;
  #isWatched = false;
  #isListWanted = false;
  #writing: Promise<void> | undefined;
  #isToWrite = false;

  constructor(deps: PluginNetworkDeps) {
    this.#deps = deps;
    this.engine = guardedEngine(deps.engine, {
      admit: (spec, signal) => this.#admit(spec, signal),
      onStarted: (id, signal) => this.#writeList(id, signal),
    });
  }

  get profile(): PluginNetwork["profile"] {
    const { mode, subnet } = this.#deps.settings;
    return { ...this.#part(mode), subnet, networkOf: (key) => this.#part(this.#policyOf(key).mode) };
  }

  /** The policy of a pool within what the operator allows. */
  #policyOf(poolKey: string): EgressPolicy {
    return withinCeiling(this.#policies.get(poolKey), this.#deps.settings);
  }

  #part(mode: EgressMode): Pick<ProfileSettings, "network" | "hosts" | "listDns"> {
    const { settings } = this.#deps;
    if (mode === "none" || settings.mode === "none" || this.#state?.is !== "guarding")
      return { network: "none", hosts: {}, listDns: undefined };
    const { gateway } = this.#addresses[mode] ?? {};
    const named = Object.entries(settings.hosts);
    const hosts = named.map(([name, at]) => [name, at === "gateway" ? (gateway ?? "") : at]);
    return {
      network: mode === "list" ? "list" : "bridge",
      hosts: Object.fromEntries(hosts),
      listDns: mode === "list" ? gateway : undefined,
    };
  }

  /** Whether the bridge for plugins with a list is needed. Once it exists, it stays. */
  get #hasLists(): boolean {
    const isListed = [this.#deps.settings, ...this.#policies.values()].some(({ mode }) => mode === "list");
    return isListed || this.#isListWanted;
  }

  get buildNetwork(): string {
    return this.#spec("open").name;
  }

  async start(): Promise<void> {
    this.#policies = await this.#deps.store.egress.list();
    const state = await this.#ensure(this.#scope.signal);
    if (state.is === "guarding") return;
    this.#deps.log.error(
      { op: "egress.start", ok: false, why: whyNot(state) },
      "The rules of the plugins' network cannot be set on this Engine, so plugins get no network, as with " +
        "BERTH_EGRESS=none. docs/egress.md says what the rules need.",
    );
  }

  async remove(signal: AbortSignal): Promise<void> {
    // A check of the guard meanwhile would start it again.
    await this.#scope.close();
    await removeGuard(this.#deps, signal);
    await this.#removeNetworks(() => true, signal);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#scope.close();
  }

  /** Also networks of an earlier subnet. A network with containers on it stays. */
  async #removeNetworks(isUnwanted: (name: string) => boolean, signal: AbortSignal): Promise<void> {
    const { engine, instanceId } = this.#deps;
    const labels = formatLabelFilter({ instance: instanceId, kind: "network" });
    for (const name of (await engine.listNetworks(labels, signal)).filter(isUnwanted)) {
      await engine.removeNetwork(name, signal).catch((error: unknown) => {
        if (!isFault(error, "conflict")) throw error;
      });
    }
  }

  #spec(kind: BridgeKind) {
    const { instanceId, settings } = this.#deps;
    return networkSpec(instanceId, { kind, subnet: settings.subnet });
  }

  async #admit(spec: ContainerSpec, signal: AbortSignal): Promise<string> {
    if (!KINDS.some((kind) => this.#spec(kind).name === spec.network)) return spec.network;
    if (await this.#isGuarding(signal)) return spec.network;
    const state = await this.#ensure(signal);
    if (state.is === "guarding") return spec.network;
    if (parseLabels(spec.labels)?.kind === "build") return DEFAULT_BRIDGE;
    throw new Fault("egress_unguarded", `The rules of the plugins' network cannot be set: ${whyNot(state)}.`);
  }

  /** Asks the engine, because somebody may have removed the guard. */
  async #isGuarding(signal: AbortSignal): Promise<boolean> {
    if (this.#state?.is !== "guarding") return false;
    const found = await this.#deps.engine.findContainer(this.#state.containerId, signal);
    return found?.phase === "running";
  }

  /** Concurrent callers share one run. */
  #ensure(signal: AbortSignal): Promise<GuardState> {
    this.#ensuring ??= this.#ensureNow(signal).finally(() => {
      this.#ensuring = undefined;
    });
    return this.#ensuring;
  }

  async #ensureNow(signal: AbortSignal): Promise<GuardState> {
    const { engine, log } = this.#deps;
    // The bridges first: a guard removes the rules of bridges that do not exist.
    for (const kind of this.#hasLists ? KINDS : (["open"] as const)) {
      const addresses = await engine.ensureNetwork(this.#spec(kind), signal).catch(nameSubnet);
      this.#addresses = { ...this.#addresses, [kind]: addresses };
    }
    const state = await ensureGuard(this.#deps, signal);
    if (!isDeepStrictEqual(this.#state, state))
      log.info({ op: "egress.guard", ok: state.is === "guarding", ...state });
    this.#state = state;
    this.#watch();
    return state;
  }

  #watch(): void {
    if (this.#isWatched) return;
    this.#isWatched = true;
    const { signal } = this.#scope;
    const { engine, clock, log, instanceId, pollMs } = this.#deps;
    const write = () => {
      this.#writeLists().catch((error: unknown) =>
        log.error({ op: "egress.lists", ok: false, err: toFault(error) }),
      );
    };
    const labels = formatLabelFilter({ instance: instanceId, kind: "runtime" });
    const works = [
      repeat(this.#deps, () => this.#look(), signal),
      poll({ clock, everyMs: pollMs }, () => this.#readPolicies(), signal),
      watchEngine({ engine, clock, log, labels, onEvent: write, onSubscribed: write }, signal),
      followGuard(
        this.#deps,
        () => (this.#state?.is === "guarding" ? this.#state.containerId : undefined),
        signal,
      ),
    ];
    for (const work of works) this.#scope.add(() => work);
  }

  async #look(): Promise<void> {
    const { signal } = this.#scope;
    const wanted = KINDS.map((kind) => this.#spec(kind).name);
    try {
      await this.#removeNetworks((name) => !wanted.includes(name), signal);
      // A kernel that refused would do so again; a missing runtime image may have been built.
      if (this.#state?.is === "refused" || (await this.#isGuarding(signal))) return;
      await this.#ensure(signal);
    } catch (error) {
      if (!signal.aborted) this.#deps.log.warn({ op: "egress.guard", ok: false, err: toFault(error) });
    }
  }

  /** A changed policy changes the hash of the pool's profile, by which the keeper finds outdated runtimes. */
  async #readPolicies(): Promise<void> {
    const { store, log } = this.#deps;
    const { signal } = this.#scope;
    try {
      const policies = await store.egress.list();
      if (isDeepStrictEqual(policies, this.#policies)) return;
      const isListed = [...policies.values()].some(({ mode }) => mode === "list");
      if (isListed && !this.#hasLists) {
        // The bridge and its rules first: no profile may name them before they exist.
        this.#isListWanted = true;
        await this.#ensure(signal);
      }
      this.#policies = policies;
      await this.#writeLists();
    } catch (error) {
      if (!signal.aborted) log.warn({ op: "egress.policies", ok: false, err: toFault(error) });
    }
  }

  /** Resolves when everything known by now is written. A change while it writes makes it write once more. */
  #writeLists(): Promise<void> {
    this.#isToWrite = true;
    this.#writing ??= this.#writeAll().finally(() => {
      this.#writing = undefined;
    });
    return this.#writing;
  }

  readonly #allowOf: AllowOf = (key) => [...this.#policyOf(key).allow, ...this.#deps.settings.proxies];

  async #writeAll(): Promise<void> {
    const { signal } = this.#scope;
    if (!this.#hasLists) return;
    try {
      while (this.#isToWrite && !signal.aborted) {
        this.#isToWrite = false;
        await writeLists(this.#deps, this.#allowOf, signal);
      }
    } catch (error) {
      if (!signal.aborted) this.#deps.log.warn({ op: "egress.lists", ok: false, err: toFault(error) });
    }
  }

  async #writeList(containerId: string, signal: AbortSignal): Promise<void> {
    if (!this.#hasLists) return;
    try {
      // After a run that read the list of containers before this one started.
      await this.#writing;
      await writeList(this.#deps, containerId, this.#allowOf, signal);
    } catch (error) {
      // A container without its file reaches nothing; the engine's event of the start writes all files once more.
      if (!signal.aborted) this.#deps.log.warn({ op: "egress.lists", ok: false, err: toFault(error) });
    }
  }
}

function whyNot(state: GuardState): string {
  return state.is === "refused"
    ? state.why
    : "the Engine has no runtime image to run their guard; build it with runtime-images/python/build";
}

/** Names the setting, which the engine's own message cannot; the engine calls exhausted address pools "not found". */
function nameSubnet(error: unknown): never {
  const isRefused = isFault(error, "engine_refused") || isFault(error, "not_found");
  if (!isRefused || !/address pool|overlap|subnet/i.test(error.message)) throw error;
  throw new Fault(
    "config_invalid",
    `The Engine has no addresses for the plugins' network: ${error.message} Remove unused networks ` +
      "(docker network prune), or set a free one in BERTH_EGRESS_SUBNET.",
    { cause: error },
  );
}
