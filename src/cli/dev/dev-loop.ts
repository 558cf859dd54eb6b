/** Runs a plugin until a file changes, then runs the new one. One process or container is always prepared ahead. */
import { setTimeout as delay } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { isFault } from "../../domain/fault.ts";
import type { DevConsole } from "./console.ts";
import { type DebugAccess, findInstalled, type Installed, isGone, requestAccess } from "./debug-requests.ts";
import type { DevServer } from "./dev-server.ts";
import { type PluginFolder, readPluginFolder } from "./plugin-folder.ts";
import type { PluginEnvironment, PluginPlace } from "./plugin-place.ts";
import { type PluginRun, prepareRun, type RunEnd } from "./plugin-run.ts";
import { sampleCall, shellLine } from "./sample-call.ts";
import type { FolderWatch } from "./watch-folder.ts";

export interface DevLoopDeps {
  readonly folder: string;
  readonly place: PluginPlace;
  readonly server: DevServer;
  readonly changes: FolderWatch;
  readonly output: DevConsole;
}

/** What a process is prepared for. */
interface Purpose {
  readonly environment: PluginEnvironment;
  readonly plugin: PluginFolder;
  readonly access: DebugAccess;
}

interface Prepared {
  readonly purpose: Purpose;
  readonly run: PluginRun;
}

const AGAIN_MS = 1_000;
const POLL_MS = 20;
const INSTALLED_MS_MAX = 30_000;
const GONE_MS_MAX = 5_000;

/** Disposing it ends the plugin's processes and resolves when its installation is gone. */
export class DevLoop implements AsyncDisposable {
  readonly #deps: DevLoopDeps;
  #running: Prepared | undefined;
  #next: Prepared | undefined;
  /** Of the latest run that had one. */
  #installed: Installed | undefined;
  /** The latest call to try that was printed. */
  #printed: string | undefined;

  constructor(deps: DevLoopDeps) {
    this.#deps = deps;
  }

  /** Resolves when the signal aborts. What is wrong with the plugin is printed. */
  async run(signal: AbortSignal): Promise<void> {
    const { changes, output } = this.#deps;
    while (!signal.aborted) {
      const old = new AbortController();
      const watched = changes.changed().then(() => old.abort());
      const over = AbortSignal.any([signal, old.signal]);
      const isToRetry = await this.#attempt(over);
      if (isToRetry) await delay(AGAIN_MS, undefined, { signal: over }).catch(() => undefined);
      else await aborted(over);
      if (old.signal.aborted && !signal.aborted) {
        await watched;
        output.say(`changed: ${changes.take().join(", ")}`);
      }
      await end(this.#running);
      this.#running = undefined;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([end(this.#running), end(this.#next)]);
    const { server } = this.#deps;
    const installed = this.#installed;
    const giveUpAt = performance.now() + GONE_MS_MAX;
    while (installed !== undefined && !(await isGone(server, installed)) && performance.now() < giveUpAt)
      await delay(POLL_MS);
  }

  /** Runs the plugin as it is now, until its end or that of the signal. True where the same may succeed later. */
  async #attempt(over: AbortSignal): Promise<boolean> {
    const { folder, place, output, server } = this.#deps;
    const began = performance.now();
    try {
      const plugin = await readPluginFolder(folder);
      const environment = await place.ensureEnvironment(plugin, over);
      this.#running = await this.#take({ environment, plugin, access: await requestAccess(server) });
      const { run } = this.#running;
      run.start();
      const ended = new AbortController();
      const ending = run.ended.finally(() => ended.abort());
      const announced = this.#announce(this.#running, began, AbortSignal.any([over, ended.signal]));
      const how = await Promise.race([ending, aborted(over)]);
      await announced;
      if (how === undefined) return false;
      this.#explain(how);
      this.#next ??= await this.#prepare(this.#running.purpose);
      return how.is === "lost" || how.is === "unreachable";
    } catch (error) {
      if (over.aborted) return false;
      if (!isFault(error)) throw error;
      output.say(`${error.message} The next change tries again.`);
      return false;
    }
  }

  /** The process that was prepared, where it was for the same. */
  async #take(purpose: Purpose): Promise<Prepared> {
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined && isDeepStrictEqual(next.purpose, purpose)) return next;
    await end(next);
    return await this.#prepare(purpose);
  }

  async #prepare(purpose: Purpose): Promise<Prepared> {
    const { place, output } = this.#deps;
    const { access, ...what } = purpose;
    const outputs = { onLine: output.plugin, onCall: output.call };
    return { purpose, run: await prepareRun({ place, ...what, ...access, ...outputs }) };
  }

  /** Once the plugin is installed, says so with a call to try, and prepares the next process. */
  async #announce({ run, purpose }: Prepared, began: number, over: AbortSignal): Promise<void> {
    const { server, output } = this.#deps;
    const { pluginId } = purpose.plugin;
    await Promise.race([run.registered, aborted(over)]);
    const giveUpAt = performance.now() + INSTALLED_MS_MAX;
    while (!over.aborted && performance.now() < giveUpAt) {
      // A Berth that does not answer is asked again; one that is gone ends the run.
      const found = await findInstalled(server, pluginId).catch(ignoreFault);
      if (found !== undefined && found.id !== this.#installed?.id) {
        this.#installed = found;
        output.say(
          `${pluginId} is ready, ${((performance.now() - began) / 1000).toFixed(2)} s after its start began`,
        );
        this.#printCall(found);
        // One that cannot be prepared now is prepared when it is needed, and says then what is wrong.
        this.#next = await this.#prepare(purpose).catch(ignoreFault);
        return;
      }
      await delay(POLL_MS, undefined, { signal: over }).catch(() => undefined);
    }
  }

  #printCall({ pluginId, declaration }: Installed): void {
    const { server, output } = this.#deps;
    const call = sampleCall(declaration);
    const path = `/v1/tenants/${server.tenant}/plugins/${pluginId}/${call?.path}`;
    const line = call && shellLine(server.client.url + path, server.keyInShell, call.body);
    if (line === undefined || line === this.#printed) return;
    this.#printed = line;
    output.say(`a call to try:\n${line}`);
  }

  #explain(how: RunEnd): void {
    const { output } = this.#deps;
    if (how.is === "exited")
      output.say(`the plugin ended with ${how.how}; it starts again when a file changes`);
    if (how.is === "refused")
      output.say(`the Berth refused the plugin: ${how.why}; it starts again when a file changes`);
    if (how.is === "lost") output.say("the connection to the Berth was lost; the plugin starts again");
    if (how.is === "unreachable") output.say(`${how.why}; the plugin starts again`);
  }
}

function ignoreFault(error: unknown): undefined {
  if (!isFault(error)) throw error;
}

async function end(prepared: Prepared | undefined): Promise<void> {
  await prepared?.run[Symbol.asyncDispose]();
}

function aborted(signal: AbortSignal): Promise<undefined> {
  if (signal.aborted) return Promise.resolve(undefined);
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(undefined), { once: true }));
}
