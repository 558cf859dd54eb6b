/**
 * What makes taken over Installations ready, in every worker: reads their packages, lets their tasks go in order of
 * need, and takes over what appears later, where somebody restored a backup. All of it is rows: whoever dies at any line
 * of this is followed by the next one that looks.
 */
import { toFault } from "../../domain/fault.ts";
import { INSTALLATIONS_TOPIC } from "../../invocation/installation-directory.ts";
import { Outage } from "../../observe/outage.ts";
import type { Queue } from "../../queue/queue.ts";
import type { TakeoverProgress } from "../../store/contracts/takeover.ts";
import { Bell } from "../../util/bell.ts";
import { Scope } from "../../util/scope.ts";
import type { InstallationRequests } from "../contracts.ts";
import { adoptRows } from "./adopt-rows.ts";
import { type ReadPackagesDeps, readDeclared, readPackages } from "./read-packages.ts";

/** A topic of the queue: somebody waits for an Installation that was taken over and is not ready. */
export const NEEDED_TOPIC = "takeover.needed";

export interface TakeoverDeps extends ReadPackagesDeps {
  readonly queue: Queue;
  readonly requests: Pick<InstallationRequests, "install">;
  readonly settings: TakeoverSettings;
}

export interface TakeoverSettings {
  /** Period between two looks where nothing is told. */
  readonly everyMs: number;
  /** Tasks at work that somebody waits for, and others: so few that installs of today find a place. */
  readonly neededMax: number;
  readonly othersMax: number;
  readonly pageRows: number;
  /** The log says so often how far it is. */
  readonly progressMs: number;
}

/** Disposing it waits for the package that is being read. */
export async function startTakeover(deps: TakeoverDeps): Promise<AsyncDisposable> {
  const scope = new Scope();
  const bell = new Bell();
  const outage = new Outage(deps.log, "takeover.run");
  const pass = new Pass(deps);
  for (const topic of [NEEDED_TOPIC, INSTALLATIONS_TOPIC])
    scope.use(await deps.queue.subscribe(topic, () => bell.ring()));
  const running = (async () => {
    while (!scope.signal.aborted) {
      await outage.run(() => pass.run(scope.signal).catch(unlessAborted(scope.signal)));
      await bell.wait(deps.clock, deps.settings.everyMs, scope.signal).catch(() => undefined);
    }
  })();
  scope.add(() => running);
  return scope;
}

function unlessAborted(signal: AbortSignal) {
  return (error: unknown) => {
    if (!signal.aborted) throw error;
  };
}

/** A look at all of it. What it remembers only keeps the log short, and the archives from being read twice. */
class Pass {
  readonly #deps: TakeoverDeps;
  #hasReadDeclared = false;
  #told = "";
  #toldAt = 0;

  constructor(deps: TakeoverDeps) {
    this.#deps = deps;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { settings, store, limits, log } = this.#deps;
    await adoptRows({ store, log, limits: limits.defaults, pageRows: settings.pageRows });
    while ((await readPackages(this.#deps, READ_AT_ONCE, signal)) > 0) await this.#handOut();
    const progress = await store.takeover.progress();
    if (progress.total > 0) {
      await this.#handOut();
      await this.#installArrived();
      this.#tell(progress);
    }
    if (this.#hasReadDeclared) return;
    const packages = await readDeclared(this.#deps, settings.pageRows, signal);
    this.#hasReadDeclared = true;
    if (packages > 0)
      log.info({ op: "takeover.declared", ok: true, packages }, "uploads that nobody has installed are kept");
  }

  /** Who cannot be told now is found by the sweeper: the tasks are anybody's to claim already. */
  async #handOut(): Promise<void> {
    const { store, queue, log, settings } = this.#deps;
    for (const { id, attempt } of await store.takeover.handOut(settings))
      await queue.enqueue("task.run", { taskId: id, attempt }).catch((error: unknown) => {
        log.warn({ op: "task.enqueue", ok: false, task_id: id, code: toFault(error).code });
      });
  }

  async #installArrived(): Promise<void> {
    const { store, requests, settings, log } = this.#deps;
    for (const { tenantId, identifier, installationId } of await store.takeover.arrived(settings.pageRows)) {
      const request = { tenantId, identifier, asTenant: false };
      await requests.install(request).catch((error: unknown) => {
        const { code } = toFault(error);
        log.warn({ op: "takeover.install", ok: false, installation_id: installationId, identifier, code });
      });
    }
  }

  #tell({ unread, waiting, building, ready, failed, total }: TakeoverProgress): void {
    const { clock, log, settings } = this.#deps;
    const left = unread + waiting + building;
    const text = `${left} ${ready} ${failed}`;
    const isDue = left === 0 || clock.now() - this.#toldAt >= settings.progressMs;
    if (text === this.#told || !isDue) return;
    // A start that finds all done has nothing to say.
    const isNews = this.#told !== "" || left > 0;
    [this.#told, this.#toldAt] = [text, clock.now()];
    const fields = {
      op: "takeover.progress",
      ok: failed === 0,
      total,
      unread,
      waiting,
      building,
      ready,
      failed,
    };
    if (isNews)
      log.info(fields, left === 0 ? "all that was taken over is done" : "what was taken over is made ready");
  }
}

/** Few: in between those that somebody waits for by now come first. */
const READ_AT_ONCE = 4;
