/**
 * Makes installations ready that were taken over from dify-plugin-daemon: reads their packages, releases their tasks in
 * order of need, and takes over what appears later, after the restore of a backup. Every worker runs it. All its state is
 * in rows: where one worker dies, the next one continues.
 */
import { toFault } from "../../domain/fault.ts";
import { INSTALLATIONS_TOPIC } from "../../invocation/installation-directory.ts";
import { Outage } from "../../observe/outage.ts";
import type { Queue } from "../../queue/queue.ts";
import type { TakeoverProgress } from "../../store/contracts/takeover.ts";
import { Bell } from "../../util/bell.ts";
import { untilPoll } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import type { InstallationRequests } from "../contracts.ts";
import { adoptRows } from "./adopt-rows.ts";
import { type ReadPackagesDeps, readDeclared, readPackages } from "./read-packages.ts";

/** A topic of the queue: a call waits for an installation that was taken over and is not ready. */
export const NEEDED_TOPIC = "takeover.needed";

export interface TakeoverDeps extends ReadPackagesDeps {
  readonly queue: Queue;
  readonly requests: Pick<InstallationRequests, "install">;
  readonly settings: TakeoverSettings;
}

export interface TakeoverSettings {
  /** Period between two passes without a notification. */
  readonly everyMs: number;
  /** Released tasks that calls wait for, and other ones, at most: few, so that new installs find a free job. */
  readonly neededMax: number;
  readonly othersMax: number;
  readonly pageRows: number;
  /** Period of progress in the log. */
  readonly progressMs: number;
}

/** Disposing it waits for the package that is being read. */
export async function startTakeover(deps: TakeoverDeps): Promise<AsyncDisposable> {
  const scope = new Scope();
  const bell = new Bell();
  const outage = new Outage(deps.log, "takeover.run");
  const pass = new Pass(deps);
  const { clock } = deps;
  const { everyMs } = deps.settings;
  for (const topic of [NEEDED_TOPIC, INSTALLATIONS_TOPIC])
    scope.use(await deps.queue.subscribe(topic, () => bell.ring()));
  const running = (async () => {
    while (!scope.signal.aborted) {
      await outage.run(() => pass.run(scope.signal).catch(unlessAborted(scope.signal)));
      await bell.wait(clock, untilPoll({ clock, everyMs }), scope.signal).catch(() => undefined);
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

/** One pass over everything. Its fields only keep the log short, and archives from being read twice. */
class Pass {
  readonly #deps: TakeoverDeps;
  #hasReadDeclared = false;
  #logged = "";
  #loggedAt = 0;

  constructor(deps: TakeoverDeps) {
    this.#deps = deps;
  }

  async run(signal: AbortSignal): Promise<void> {
    const { settings, store, limits, log } = this.#deps;
    if (this.#hasReadDeclared && !(await store.takeover.isDue())) return;
    await adoptRows({ store, log, limits: limits.defaults, pageRows: settings.pageRows });
    while ((await readPackages(this.#deps, READ_AT_ONCE, signal)) > 0) await this.#releaseTasks();
    const progress = await store.takeover.progress();
    if (progress.total > 0) {
      await this.#releaseTasks();
      await this.#installArrived();
      this.#logProgress(progress);
    }
    if (this.#hasReadDeclared) return;
    const packages = await readDeclared(this.#deps, settings.pageRows, signal);
    this.#hasReadDeclared = true;
    if (packages > 0)
      log.info({ op: "takeover.declared", ok: true, packages }, "read packages that no tenant has installed");
  }

  /** A task that cannot be enqueued now is found by the sweeper: it is claimable already. */
  async #releaseTasks(): Promise<void> {
    const { store, queue, log, settings } = this.#deps;
    for (const { id, attempt } of await store.takeover.releaseTasks(settings))
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

  #logProgress({ unread, waiting, building, ready, failed, total }: TakeoverProgress): void {
    const { clock, log, settings } = this.#deps;
    const left = unread + waiting + building;
    const text = `${left} ${ready} ${failed}`;
    const isDue = left === 0 || clock.now() - this.#loggedAt >= settings.progressMs;
    if (text === this.#logged || !isDue) return;
    // A start that finds everything done logs nothing.
    const isNews = this.#logged !== "" || left > 0;
    [this.#logged, this.#loggedAt] = [text, clock.now()];
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
    if (isNews) log.info(fields, left === 0 ? "the takeover is complete" : "the takeover continues");
  }
}

/** Few: after each batch the packages that calls wait for by then come first. */
const READ_AT_ONCE = 4;
