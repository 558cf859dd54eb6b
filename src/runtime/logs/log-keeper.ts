/**
 * Copies the engine's logs of the runtimes whose pool this worker holds into files, so that they outlive the container
 * and every process can read them. Guarantees: after a restart it continues where the file ends; no line comes twice,
 * and no line is lost that the engine still has.
 */
import { mkdir, rm } from "node:fs/promises";
import { isFault, toFault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Engine, LogChunk } from "../../engine/engine.ts";
import type { Log } from "../../observe/log.ts";
import { backoffMs } from "../../util/backoff.ts";
import type { Clock } from "../../util/clock.ts";
import { Deadline } from "../../util/deadline.ts";
import { errorCode } from "../../util/error-code.ts";
import { waitOrAbort } from "../../util/wait.ts";
import type { RuntimeLogSettings } from "../settings.ts";
import { dropOldRuntimes, logFile, logFolder } from "./paths.ts";
import { formatLine, readRuntime } from "./read-file.ts";
import { RotatedFile } from "./rotated-file.ts";

/** Lines of two streams may be out of order by less than this; a resumed follower compares that far back. */
const OVERLAP_MS = 1_000;
const RETRY_MS = 1_000;
const RETRY_MS_MAX = 15_000;

interface Following {
  readonly poolKey: string;
  readonly stop: AbortController;
  readonly done: Promise<void>;
}

export interface LogKeeperDeps {
  readonly engine: Pick<Engine, "logs" | "findContainer">;
  readonly clock: Clock;
  readonly log: Log;
  readonly dataFolder: string;
  readonly settings: RuntimeLogSettings;
}

export class LogKeeper implements AsyncDisposable {
  readonly #deps: LogKeeperDeps;
  readonly #following = new Map<RuntimeId, Following>();

  constructor(deps: LogKeeperDeps) {
    this.#deps = deps;
  }

  /** Starts or resumes following; repeated for the same runtime, it does nothing. */
  follow(runtime: { readonly id: RuntimeId; readonly poolKey: string; readonly containerId: string }): void {
    if (this.#following.has(runtime.id)) return;
    const stop = new AbortController();
    const done = this.#run(runtime, stop.signal).catch((error: unknown) => {
      if (!stop.signal.aborted) {
        this.#deps.log.error({ op: "runtime.logs", runtime: runtime.id, err: toFault(error) });
      }
    });
    this.#following.set(runtime.id, { poolKey: runtime.poolKey, stop, done });
  }

  /** Waits at most `timeoutMs` until everything that the ended container wrote is in its file. Never throws. */
  async finish(id: RuntimeId, timeoutMs: number): Promise<void> {
    const following = this.#following.get(id);
    if (following === undefined) return;
    using deadline = new Deadline({ clock: this.#deps.clock, ms: timeoutMs });
    await waitOrAbort(following.done, deadline.signal).catch(() => undefined);
    await this.stop(id);
  }

  /** Stops following; another worker may resume. */
  async stop(id: RuntimeId): Promise<void> {
    const following = this.#following.get(id);
    if (following === undefined) return;
    this.#following.delete(id);
    following.stop.abort(new Error("following ended"));
    await following.done;
  }

  /** The same for all runtimes of a pool. */
  async stopPool(poolKey: string): Promise<void> {
    const ids = [...this.#following].flatMap(([id, following]) =>
      following.poolKey === poolKey ? [id] : [],
    );
    await Promise.all(ids.map((id) => this.stop(id)));
  }

  /** Removes all log files of a removed pool. */
  removePool(poolKey: string): Promise<void> {
    return rm(logFolder(this.#deps.dataFolder, poolKey), { recursive: true, force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#following.keys()].map((id) => this.stop(id)));
  }

  async #run(
    runtime: { readonly id: RuntimeId; readonly poolKey: string; readonly containerId: string },
    signal: AbortSignal,
  ): Promise<void> {
    const { engine, clock, dataFolder } = this.#deps;
    const folder = logFolder(dataFolder, runtime.poolKey);
    const outage = new WriteOutage(this.#deps.log, runtime.id);
    while (!signal.aborted) {
      let isWritten = true;
      try {
        await mkdir(folder, { recursive: true, mode: 0o750 });
        await dropOldRuntimes(folder, runtime.id, this.#deps.settings.runtimesKept);
        await this.#copy(folder, runtime, signal, () => outage.recovered());
      } catch (error) {
        // The engine answers `conflict` while it removes a container, then `not_found`.
        if (signal.aborted || isFault(error, "not_found") || isFault(error, "conflict")) return;
        isWritten = isFault(error, "engine_unavailable");
        if (!isWritten) outage.failed(error);
      }
      // A stream that ended although the container runs is resumed. Lines that the disk did not take are still in the
      // Engine.
      const state = await engine.findContainer(runtime.containerId, signal).catch(() => "unknown" as const);
      const isRunning = state === "unknown" || state?.phase === "running";
      if (state === undefined || (isWritten && !isRunning)) return;
      await clock.sleep(isWritten ? RETRY_MS : outage.waitMs, signal);
    }
  }

  /** Resolves when the engine's stream ends. `onWritten` is called when the first lines are on disk. */
  async #copy(
    folder: string,
    runtime: { readonly id: RuntimeId; readonly containerId: string },
    signal: AbortSignal,
    onWritten: () => void,
  ): Promise<void> {
    const { engine, settings } = this.#deps;
    const overlap = await readOverlap(folder, runtime.id, signal);
    await using file = await RotatedFile.open({
      pathOf: (age) => logFile(folder, runtime.id, age),
      bytesMax: settings.bytesMax,
      files: settings.files,
    });
    const since = overlap.since === undefined ? {} : { since: overlap.since };
    let isFirst = true;
    for await (const chunk of engine.logs(runtime.containerId, { follow: true, ...since }, signal)) {
      if (!overlap.isNew(chunk)) continue;
      await file.write(formatLine(chunk));
      if (!isFirst) continue;
      await file.flush();
      isFirst = false;
      onWritten();
    }
    await file.flush();
  }
}

/** Logs once that lines cannot be written (a full disk, for example), and once that they can again. */
class WriteOutage {
  readonly #log: Log;
  readonly #runtime: RuntimeId;
  #failures = 0;

  constructor(log: Log, runtime: RuntimeId) {
    this.#log = log;
    this.#runtime = runtime;
  }

  /** Backs off, because each try reads the existing file again. */
  get waitMs(): number {
    return backoffMs(this.#failures, { firstMs: RETRY_MS, maxMs: RETRY_MS_MAX });
  }

  failed(error: unknown): void {
    this.#failures += 1;
    if (this.#failures > 1) return;
    const fields = {
      op: "runtime.logs",
      ok: false,
      runtime: this.#runtime,
      code: errorCode(error),
      err: error,
    };
    this.#log.error(fields, "Cannot write a plugin's log; retrying");
  }

  recovered(): void {
    if (this.#failures > 0)
      this.#log.info({ op: "runtime.logs", ok: true, runtime: this.#runtime }, "Recovered");
    this.#failures = 0;
  }
}

/** Counts the last lines of the file, so that the same lines are skipped when the engine repeats them. */
async function readOverlap(
  folder: string,
  runtimeId: RuntimeId,
  signal: AbortSignal,
): Promise<{ since: Date | undefined; isNew: (chunk: LogChunk) => boolean }> {
  let recent: LogChunk[] = [];
  let last = 0;
  for await (const chunk of readRuntime(folder, runtimeId, signal)) {
    last = Math.max(last, chunk.at.getTime());
    recent.push(chunk);
    // Trimmed only now and then: the file may be long, its last second rarely is.
    if (recent.length % 1024 === 0) recent = recent.filter(({ at }) => at.getTime() >= last - OVERLAP_MS);
  }
  if (last === 0) return { since: undefined, isNew: () => true };
  const from = last - OVERLAP_MS;
  const counts = new Map<string, number>();
  for (const chunk of recent) {
    const key = formatLine(chunk);
    if (chunk.at.getTime() >= from) counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return {
    since: new Date(from),
    isNew: (chunk) => {
      if (chunk.at.getTime() < from) return false;
      const key = formatLine(chunk);
      const count = counts.get(key) ?? 0;
      if (count > 0) counts.set(key, count - 1);
      return count === 0;
    },
  };
}
