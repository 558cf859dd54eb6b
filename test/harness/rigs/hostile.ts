/** Attackers beside a neighbour that is called continuously: one Berth, one package, a tenant for each attack. */
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { acceptLimits } from "../clients/changes.ts";
import {
  type AcceptedInstall,
  askTool,
  aTenant,
  callTool,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  type ToolCall,
  toolTexts,
} from "../clients/client.ts";
import { type Load, startLoad, startLoadOf } from "../clients/load.ts";
import type { BerthProcess } from "./berth.ts";
import { openSite, type Site } from "./site.ts";

const ATTACKER_ID = "berth-tests/hostile";
const LIVE_MEMORY = join(import.meta.dirname, "../processes/live-memory.ts");
const SIBLING_ID = "berth-tests/echo";

/** The rates at which the sibling and `/health` are asked while others attack. */
const SIBLING_CALLS_PER_SECOND = 10;
const HEALTH_CALLS_PER_SECOND = 4;

/** Of a machine whose processors are all taken. */
const SERVES_AGAIN_MS_MAX = 240_000;

export interface Attacker extends AcceptedInstall {
  /** A call of its one tool. */
  call(attack: string, parameters?: Readonly<Record<string, unknown>>): ToolCall;
}

export interface Attack {
  readonly name: string;
  /** Attacks of one group are one attacker's; by itself, each attack has its own. */
  readonly group?: string;
  /** Asks for more of Berth and of the test itself than two processors have beside all the others. */
  readonly onlyAlone?: true;
  /** Chosen for the attacker's installation, in the words of the API. */
  readonly limits?: Readonly<Record<string, number>>;
  /** Resolves when the attack is over; throws when one of its calls ended in the wrong way. */
  run(attacker: Attacker, where: HostileSite): Promise<void>;
}

export interface Watched {
  readonly sibling: Load;
  readonly health: Load;
  stop(): Promise<void>;
}

export interface HostileSite extends AsyncDisposable {
  readonly site: Site;
  readonly berth: BerthProcess;
  readonly sibling: AcceptedInstall;
  /** Installed for a tenant of its own; `limits` in the words of the API. */
  attacker(limits?: Readonly<Record<string, number>>): Promise<Attacker>;
  /** Calls the sibling, so often a second, and `/health` from now on. */
  watch(siblingCallsPerSecond?: number): Watched;
  /** What the echo answers to the sibling's caller, so often. */
  askSibling(times: number): Promise<readonly unknown[]>;
  /** Bytes that Berth's main thread has in use, garbage left out. */
  liveMemory(): Promise<number>;
}

/** `nodeOptions` are further ones of the Berth. */
export async function openHostileSite(
  env: Readonly<Record<string, string>> = {},
  nodeOptions = "",
): Promise<HostileSite> {
  const folder = await mkdtemp(join(tmpdir(), "berth-memory-"));
  const memoryFile = join(folder, "live");
  const site = await openSite({
    database: "embedded",
    env: {
      // All attackers at once may be granted more than a small machine has.
      BERTH_HOST_MEMORY_MB: "0",
      BERTH_PLUGIN_STORAGE_MB: "16",
      BERTH_PLUGIN_CPUS: "0.5",
      BERTH_HEALTH_SECONDS: "1",
      NODE_OPTIONS: `--import ${LIVE_MEMORY} ${nodeOptions}`,
      BERTH_TEST_LIVE_MEMORY: memoryFile,
      ...env,
    },
  });
  try {
    const berth = await site.start();
    const sibling = await install(berth, await packPlugin("echo"));
    return new RealHostileSite({ site, berth, sibling, plugin: await packPlugin("hostile"), memoryFile });
  } catch (error) {
    await site[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
    throw error;
  }
}

interface Parts {
  readonly site: Site;
  readonly berth: BerthProcess;
  readonly sibling: AcceptedInstall;
  readonly plugin: PackedPlugin;
  /** In a folder of its own. */
  readonly memoryFile: string;
}

class RealHostileSite implements HostileSite {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get site(): Site {
    return this.#parts.site;
  }
  get berth(): BerthProcess {
    return this.#parts.berth;
  }
  get sibling(): AcceptedInstall {
    return this.#parts.sibling;
  }

  async attacker(limits?: Readonly<Record<string, number>>): Promise<Attacker> {
    const { berth, plugin } = this.#parts;
    const tenant = aTenant();
    const installed = await install(berth, plugin, tenant);
    if (limits !== undefined) {
      const { task } = await acceptLimits(berth, installed, limits);
      const end = (await follow(berth, { tenant, taskId: task.id })).at(-1);
      if (end?.state !== "ready") throw new Error(`the limits were not taken: ${JSON.stringify(end)}`);
    }
    const call = (attack: string, parameters = {}) => ({
      tenant,
      pluginId: ATTACKER_ID,
      tool: "attack",
      parameters: { attack, ...parameters },
    });
    return { ...installed, call };
  }

  watch(siblingCallsPerSecond = SIBLING_CALLS_PER_SECOND): Watched {
    const { berth } = this.#parts;
    const sibling = startLoad({
      urls: [berth.url],
      key: berth.adminKey,
      call: this.#siblingCall(),
      perSecond: siblingCallsPerSecond,
      expected: "still here",
    });
    const health = startLoadOf(async () => {
      const answer = await fetch(new URL("/health", berth.url));
      if (answer.status !== 200) throw new Error(`/health: ${answer.status} ${await answer.text()}`);
      await answer.arrayBuffer();
    }, HEALTH_CALLS_PER_SECOND);
    const stop = async () => {
      await Promise.all([sibling.stop(), health.stop()]);
    };
    return { sibling, health, stop };
  }

  async askSibling(times: number): Promise<readonly unknown[]> {
    const answers: unknown[] = [];
    for (let i = 0; i < times; i++)
      answers.push(...(await toolTexts(this.#parts.berth, this.#siblingCall())));
    return answers;
  }

  async liveMemory(): Promise<number> {
    const { berth, memoryFile } = this.#parts;
    await rm(memoryFile, { force: true });
    process.kill(berth.pid, "SIGUSR2");
    return Number(await eventually(() => readFile(memoryFile, "utf8").catch(() => undefined)));
  }

  #siblingCall(): ToolCall {
    const { tenant } = this.#parts.sibling;
    return { tenant, pluginId: SIBLING_ID, tool: "echo", parameters: { text: "still here" } };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.site[Symbol.asyncDispose]();
    await rm(dirname(this.#parts.memoryFile), { recursive: true });
  }
}

/** Who makes each of these attacks: installed `atOnce` at a time. */
export async function installAttackers(
  hostile: HostileSite,
  attacks: readonly Attack[],
  { atOnce }: { readonly atOnce: number },
): Promise<(attack: Attack) => Attacker> {
  const groupOf = ({ name, group }: Attack) => group ?? name;
  const waiting = [...new Map(attacks.map((attack) => [groupOf(attack), attack] as const))];
  const attackers = new Map<string, Attacker>();
  const installThem = async () => {
    for (let next = waiting.pop(); next !== undefined; next = waiting.pop())
      attackers.set(next[0], await hostile.attacker(next[1].limits));
  };
  await Promise.all(Array.from({ length: atOnce }, installThem));
  return (attack) => {
    const attacker = attackers.get(groupOf(attack));
    if (attacker === undefined) throw new Error(`nobody was installed for ${attack.name}`);
    return attacker;
  };
}

/** Resolves when the attacker answers normally again; otherwise throws with its last answer. */
export async function servesAgain(berth: BerthProcess, attacker: Attacker): Promise<void> {
  let last: unknown;
  await eventually(async () => {
    const answer = await askTool(berth, attacker.call("none"));
    last = await answer.json();
    return answer.ok ? true : undefined;
  }, SERVES_AGAIN_MS_MAX).catch((error: unknown) => {
    throw new Error(`it does not serve again, and says ${JSON.stringify(last)}`, { cause: error });
  });
}

/** The JSON object that an attack answers with. */
export async function report(
  berth: BerthProcess,
  call: ToolCall,
): Promise<Readonly<Record<string, unknown>>> {
  const events = await callTool(berth, call);
  const [item] = events;
  if (item?.name !== "item" || events.at(-1)?.name !== "end")
    throw new Error(`the call ended with ${JSON.stringify(events.at(-1))}`);
  return (item.data as { message: { json_object: Record<string, unknown> } }).message.json_object;
}

/** What plugins have on the machine: their containers, and how many runtimes have a folder or a key. */
export async function tracesOfPlugins(site: Site) {
  const containers = await site.containers();
  // A folder, and the key of its runner beside it.
  const names = await readdir(join(site.dataFolder, "run"));
  return {
    containers: containers.map(({ labels }) => labels["berth.tenant"]).sort(),
    runtimes: new Set(names.map((name) => name.replace(/\.key$/, ""))).size,
  };
}

/** Processes of the machine that stand in the cgroup of one of these containers. */
export async function processesIn(containerIds: readonly string[]): Promise<readonly number[]> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const cgroup = await readFile(`/proc/${pid}/cgroup`, "utf8").catch(() => "");
      return containerIds.some((id) => cgroup.includes(id)) ? [pid] : [];
    }),
  );
  return found.flat();
}
