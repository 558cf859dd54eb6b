/**
 * Two hosts of the same plugins behind one API: Berth with its defaults, and a dify-plugin-daemon in a
 * container of the local Docker Engine, which you create but do not start (docs/hostile.md).
 */
import { readlinkSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { processesIn } from "../test/harness/rigs/hostile.ts";
import { Berth } from "./berth.ts";
import type { Door } from "./dify-door.ts";
import { childrenOf, containerProcesses, output } from "./processes.ts";

const PEER_START_MS_MAX = 60_000;

/** An installed plugin of a tenant. */
export interface Whose {
  readonly tenant: string;
  /** `author/name` */
  readonly plugin: string;
}

export interface Side extends AsyncDisposable {
  readonly name: string;
  readonly door: Door;
  /** Pid of the host itself; undefined where it does not run. */
  hostPid(): Promise<number | undefined>;
  /** The process that an SDK would run in. */
  pluginPid(whose: Whose): Promise<number>;
  /** All processes of the plugin, with their descendants. */
  pidsOf(whose: Whose): Promise<readonly number[]>;
  /** Resolves when the host's process has started; throws where one runs already. */
  start(): Promise<void>;
  /** Like `kill -9`; resolves when the process has ended. */
  kill(): Promise<void>;
}

export class BerthSide implements Side {
  readonly name = "Berth";
  readonly #folder: string;
  readonly #settings: Readonly<Record<string, string>>;
  #berth: Berth | undefined;

  private constructor(folder: string, settings: Readonly<Record<string, string>>) {
    this.#folder = folder;
    this.#settings = settings;
  }

  static async open(folder: string, settings: Readonly<Record<string, string>>): Promise<BerthSide> {
    const side = new BerthSide(folder, settings);
    await side.start();
    return side;
  }

  get door(): Door {
    return this.#running().door;
  }

  async hostPid(): Promise<number | undefined> {
    return this.#berth?.isRunning ? this.#berth.pid : undefined;
  }

  async pluginPid({ tenant }: Whose): Promise<number> {
    return (await containerProcesses(`berth.tenant=${tenant}`)).plugin;
  }

  async pidsOf({ tenant }: Whose): Promise<readonly number[]> {
    const ids = await output("docker", [
      "ps",
      "-q",
      "--no-trunc",
      "--filter",
      `label=berth.tenant=${tenant}`,
    ]);
    return await processesIn(ids.split("\n").filter((id) => id !== ""));
  }

  async start(): Promise<void> {
    this.#berth = await Berth.start(this.#folder, [], this.#settings);
  }

  async kill(): Promise<void> {
    await this.#running().kill();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#berth?.[Symbol.asyncDispose]();
  }

  #running(): Berth {
    if (this.#berth === undefined) throw new Error("Berth was not started");
    return this.#berth;
  }
}

export class PeerSide implements Side {
  readonly name = "the daemon";
  readonly door: Door;
  readonly #container: string;

  constructor({ container, door }: { readonly container: string; readonly door: Door }) {
    this.#container = container;
    this.door = door;
  }

  /** The first child of the container's init. Init ends with it and adopts its orphans. */
  async hostPid(): Promise<number | undefined> {
    const init = Number(await this.#inspect("{{.State.Pid}}"));
    return init === 0 ? undefined : childrenOf(init)[0];
  }

  async pluginPid(whose: Whose): Promise<number> {
    const [first] = await this.pidsOf(whose);
    if (first === undefined) throw new Error(`no process of ${whose.plugin} runs`);
    return first;
  }

  /** One process serves all tenants; what it starts stays in its working folder. */
  async pidsOf({ plugin }: Whose): Promise<readonly number[]> {
    const pids = await processesIn([await this.#inspect("{{.Id}}")]);
    return pids.filter((pid) => workingFolderOf(pid).includes(plugin)).toSorted((a, b) => a - b);
  }

  async start(): Promise<void> {
    await output("docker", ["start", this.#container]);
  }

  async kill(): Promise<void> {
    await output("docker", ["kill", this.#container]).catch(() => undefined);
    const until = performance.now() + PEER_START_MS_MAX;
    while ((await this.#inspect("{{.State.Running}}")) === "true") {
      if (performance.now() > until) throw new Error("the daemon's container does not end");
      await delay(20);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  #inspect(format: string): Promise<string> {
    return output("docker", ["inspect", "-f", format, this.#container]);
  }
}

/** Empty where the process has ended. */
function workingFolderOf(pid: number): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return "";
  }
}
