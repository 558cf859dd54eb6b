/**
 * Implements `RuntimeDirectory`: this process has a link to each live runtime and picks one without any I/O. The rows are
 * the truth; they are read after each announced change and on a timer, and links are opened and closed by them.
 */
import { Fault, toFault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { Store } from "../../store/store.ts";
import { type Clock, poll } from "../../util/clock.ts";
import { Refresh } from "../../util/refresh.ts";
import { Scope } from "../../util/scope.ts";
import { waitFor, waitOrAbort } from "../../util/wait.ts";
import type { PoolStatus, ReachableRuntime, RuntimeDirectory } from "../runtimes.ts";
import type { DirectorySettings } from "../settings.ts";
import { type Announcer, announce, TOPICS } from "./announce.ts";
import { parseExit } from "./exit-message.ts";
import type { RuntimeLinks } from "./runtime-links.ts";

export interface DirectoryDeps {
  readonly store: Pick<Store, "pools" | "runtimes">;
  readonly links: RuntimeLinks;
  readonly queue: Announcer;
  readonly clock: Clock;
  readonly log: Log;
  readonly settings: DirectorySettings;
}

export interface RunningRuntimeDirectory extends RuntimeDirectory, AsyncDisposable {}

/** Resolves when every live runtime has its link. The caller closes the links. */
export async function startRuntimeDirectory(deps: DirectoryDeps): Promise<RunningRuntimeDirectory> {
  const directory = new PolledRuntimeDirectory(deps);
  try {
    await directory.start();
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
  return directory;
}

class PolledRuntimeDirectory implements RunningRuntimeDirectory {
  readonly #deps: DirectoryDeps;
  readonly #scope = new Scope();
  readonly #listeners = new Set<() => void>();
  #changes = 0;
  #used = new Set<string>();
  readonly #sync: Refresh;

  constructor(deps: DirectoryDeps) {
    this.#deps = deps;
    const outage = new Outage(deps.log, "runtime.directory");
    this.#sync = new Refresh(async () => {
      if (this.#scope.signal.aborted) return;
      await outage.run(() => this.#syncLinks());
      this.#changed();
    });
  }

  async start(): Promise<void> {
    const { queue, links, settings } = this.#deps;
    this.#scope.add(links.onEvent(() => this.#changed()));
    this.#scope.use(await queue.subscribe(TOPICS.changed, () => this.#refreshSoon()));
    this.#scope.use(await queue.subscribe(TOPICS.exited, (text) => this.#exited(text)));
    await this.#sync.run();
    this.#loop(settings.directoryPollMs, () => this.#sync.run());
    if (settings.usageReportMs !== undefined) this.#loop(settings.usageReportMs, () => this.#reportUsage());
  }

  pick(poolKey: string): ReachableRuntime | undefined {
    if (this.#deps.settings.usageReportMs !== undefined) this.#used.add(poolKey);
    return this.#deps.links.pick(poolKey);
  }

  async wait(poolKey: string, signal: AbortSignal): Promise<ReachableRuntime> {
    for (;;) {
      signal.throwIfAborted();
      const seen = this.#changes;
      const found = this.pick(poolKey);
      if (found !== undefined) return found;
      const status = await waitOrAbort(this.status(poolKey), signal);
      if (status.state === "crash_loop" || status.state === "absent") throw notReady(status);
      // There is room when other plugins stop, which may take any time.
      if (status.state === "backoff" && lacksRoom(status)) throw notReady(status);
      if (status.state === "idle") await waitOrAbort(this.#askForStart(poolKey), signal);
      await this.#changeAfter(seen, signal);
    }
  }

  async status(poolKey: string): Promise<PoolStatus> {
    const { pools, runtimes } = this.#deps.store;
    const pool = await pools.find(poolKey);
    // A plugin that its author runs has a runtime and no pool; its link may not be up yet.
    if (pool === undefined && (await runtimes.listLive(poolKey)).length > 0)
      return { state: "ready", cause: undefined, nextStartAt: undefined };
    if (pool === undefined || !pool.wanted) {
      return { state: "absent", cause: undefined, nextStartAt: undefined };
    }
    return { state: pool.state, cause: pool.cause, nextStartAt: pool.nextStartAt };
  }

  retire(id: RuntimeId, reason: string): void {
    const { links, store, queue, log } = this.#deps;
    const held = links.find(id);
    links.stopAccepting(id);
    log.warn({ op: "runtime.retire", ok: true, runtime: id, pool: held?.poolKey, reason });
    store.runtimes
      .setState(id, "draining")
      .then(() => (held === undefined ? undefined : announce(queue, TOPICS.asked, held.poolKey)))
      .catch((error: unknown) =>
        log.error({ op: "runtime.retire", ok: false, runtime: id, err: toFault(error) }),
      );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close(new Fault("shutting_down", "Berth is shutting down."));
    await this.#sync.settled();
  }

  /** The row is the request, so that it reaches a keeper even if the announcement does not. */
  async #askForStart(poolKey: string): Promise<void> {
    await this.#deps.store.pools.setState(poolKey, {
      state: "starting",
      cause: undefined,
      nextStartAt: undefined,
    });
    await announce(this.#deps.queue, TOPICS.asked, poolKey);
  }

  /** Runs in the background. */
  #refreshSoon(): void {
    this.#sync
      .run()
      .catch((error: unknown) =>
        this.#deps.log.error({ op: "runtime.directory", ok: false, err: toFault(error) }),
      );
  }

  async #syncLinks(): Promise<void> {
    const { store, links, log } = this.#deps;
    // Links that exist before the rows are read cannot belong to rows that are made later.
    const held = links.ids();
    const live = await store.runtimes.listLive();
    const liveIds = new Set(live.map(({ id }) => id));
    await Promise.all(held.filter((id) => !liveIds.has(id)).map((id) => links.close(id)));
    for (const { id, state } of live) if (state === "draining") links.stopAccepting(id);
    // A starting runtime may have no folder yet: its keeper links it, other processes do so after the next change.
    const ready = live.filter(({ id, state }) => state !== "starting" && links.find(id) === undefined);
    await Promise.all(
      ready.map((record) =>
        links.open(record).catch((error: unknown) => {
          log.warn({ op: "runtime.link", ok: false, runtime: record.id, err: toFault(error) });
        }),
      ),
    );
    for (const { id, state } of live) if (state === "draining") links.stopAccepting(id);
  }

  #exited(text: string): void {
    const { links } = this.#deps;
    const message = parseExit(text);
    if (message === undefined) return;
    const { exitCode, signal, oom, hung } = message.exit;
    links.noteExit(message.id, { exitCode, signal, oom, ...(hung === undefined ? {} : { hung }) });
  }

  /** Resolves at once if something has changed since `seen` was read. */
  async #changeAfter(seen: number, signal: AbortSignal): Promise<void> {
    const look = () => (this.#changes === seen ? undefined : true);
    const subscribe = (listener: () => void) => {
      this.#listeners.add(listener);
      return () => this.#listeners.delete(listener);
    };
    await waitFor({ look, subscribe }, signal);
  }

  #changed(): void {
    this.#changes += 1;
    for (const listener of [...this.#listeners]) listener();
  }

  async #reportUsage(): Promise<void> {
    const used = this.#used;
    this.#used = new Set();
    for (const poolKey of used) await announce(this.#deps.queue, TOPICS.used, poolKey);
  }

  #loop(everyMs: number, work: () => Promise<void>): void {
    const running = poll({ clock: this.#deps.clock, everyMs }, work, this.#scope.signal);
    this.#scope.add(() => running);
  }
}

function notReady({ state, cause, nextStartAt }: PoolStatus): Fault {
  const what =
    cause !== undefined && lacksRoom({ cause })
      ? cause.message
      : state === "crash_loop"
        ? "It crashed repeatedly; restart it manually."
        : "It is not running.";
  return new Fault("plugin_not_ready", `The plugin is not ready. ${what}`, {
    details: { state, cause: cause ?? null, nextStartAt: nextStartAt?.toISOString() ?? null },
  });
}

function lacksRoom({ cause }: Pick<PoolStatus, "cause">): boolean {
  return cause?.code === "host_full" || cause?.code === "quota_memory";
}
