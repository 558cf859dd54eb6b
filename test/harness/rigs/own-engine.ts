/**
 * A Docker Engine of a test's own, that it may stop, kill and start again: its own folders, socket, cgroup and
 * network namespace. The machine's own engine is only asked for the runtime image.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type IncomingMessage, type RequestOptions, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { promisify } from "node:util";
import { createDockerEngine, DOCKER_ENGINE_SETTINGS } from "../../../src/engine/docker/docker-engine.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { silentLog } from "../../../src/observe/log.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { eventually } from "../clients/client.ts";

const START_MS_MAX = 120_000;

export interface OwnEngine extends AsyncDisposable {
  readonly socketPath: string;
  readonly engine: Engine;
  /** Resolves when it answers. */
  start(): Promise<void>;
  stop(signal: "SIGTERM" | "SIGKILL"): Promise<void>;
}

export interface OwnEngineOptions {
  readonly liveRestore?: boolean;
  /** Host ids that the users of its containers are mapped to, from this one on. */
  readonly remapUsersTo?: number;
  /** The only addresses that its networks may have: `10.213.0.0/29`. */
  readonly addressPool?: string;
}

export async function makeOwnEngine(options: OwnEngineOptions): Promise<OwnEngine> {
  const folder = await mkdtemp(join(tmpdir(), "berth-engine-"));
  const own = new RealEngine(folder, options);
  try {
    await own.startContainerd();
    await own.start();
    // One that maps users is refused before it is asked for a container.
    if (options.remapUsersTo === undefined) await own.load("berth-python:5");
    return own;
  } catch (error) {
    // Its own failure is that of the start.
    await own[Symbol.asyncDispose]().catch(() => undefined);
    throw error;
  }
}

class RealEngine implements OwnEngine {
  readonly #folder: string;
  readonly #options: OwnEngineOptions;
  readonly engine: Engine;
  #child: ChildProcess | undefined;
  #containerd: ChildProcess | undefined;
  #said = "";

  constructor(folder: string, options: OwnEngineOptions) {
    this.#folder = folder;
    this.#options = options;
    this.engine = createDockerEngine({
      socketPath: this.socketPath,
      log: silentLog,
      clock: systemClock,
      settings: DOCKER_ENGINE_SETTINGS,
    });
  }

  get socketPath(): string {
    return join(this.#folder, "docker.sock");
  }

  /** As a service of its own, as distributions run it: it outlives the engine. */
  async startContainerd(): Promise<void> {
    const args = [
      ...["--address", join(this.#folder, "containerd.sock"), "--log-level", "fatal"],
      ...["--root", join(this.#folder, "containerd"), "--state", join(this.#folder, "containerd-state")],
    ];
    const child = spawn("containerd", args, { stdio: "ignore" });
    this.#containerd = child;
    await once(child, "spawn");
  }

  async start(): Promise<void> {
    const args = [
      ...["--host", `unix://${this.socketPath}`, "--pidfile", join(this.#folder, "docker.pid")],
      ...["--containerd", join(this.#folder, "containerd.sock")],
      ...["--data-root", join(this.#folder, "data"), "--exec-root", join(this.#folder, "exec")],
      ...["--bridge", "none", "--iptables=false", "--ip6tables=false", "--ip-masq=false"],
      ...["--cgroup-parent", "/berth-test-engine", `--live-restore=${this.#options.liveRestore ?? false}`],
      ...this.#pool(),
      ...(await this.#mapping()),
    ];
    // In a network namespace of its own: an engine that is started without a bridge removes the machine's default one.
    const child = spawn("unshare", ["--net", ...this.#within(), ...args], {
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#child = child;
    child.stderr.on("data", (chunk) => {
      this.#said = `${this.#said}${chunk}`.slice(-8000);
    });
    await once(child, "spawn");
    await eventually(async () => {
      if (child.exitCode !== null) throw new Error(`dockerd ended (${child.exitCode}): ${this.#said}`);
      return await this.engine.info(AbortSignal.timeout(5000)).catch(() => undefined);
    }, START_MS_MAX);
  }

  #pool(): readonly string[] {
    const { addressPool } = this.#options;
    if (addressPool === undefined) return [];
    return ["--default-address-pool", `base=${addressPool},size=${addressPool.split("/")[1]}`];
  }

  /** The machine's own list of mapped ids stays as it is: this engine alone sees another one. */
  #within(): readonly string[] {
    if (this.#options.remapUsersTo === undefined) return ["dockerd"];
    const ids = join(this.#folder, "ids");
    const bind = `mount --bind ${ids} /etc/subuid && mount --bind ${ids} /etc/subgid`;
    return ["--mount", "sh", "-c", `${bind} && exec dockerd "$@"`, "sh"];
  }

  async #mapping(): Promise<readonly string[]> {
    const { remapUsersTo } = this.#options;
    if (remapUsersTo === undefined) return [];
    // Whom its containers' root is mapped to must get to its data.
    await chmod(this.#folder, 0o711);
    await writeFile(
      join(this.#folder, "ids"),
      `nobody:${remapUsersTo}:65536\nnogroup:${remapUsersTo}:65536\n`,
    );
    return ["--userns-remap", "nobody:nogroup"];
  }

  async stop(signal: "SIGTERM" | "SIGKILL"): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    await end(child, signal);
  }

  /** From the machine's engine, with its name. */
  async load(image: string): Promise<void> {
    const machine = process.env["BERTH_TEST_ENGINE_SOCKET"] ?? "/var/run/docker.sock";
    const saved = await ask(machine, { path: `/images/${image}/get` });
    const loaded = await ask(this.socketPath, { method: "POST", path: "/images/load?quiet=1" }, saved);
    const said = await text(loaded);
    if (loaded.statusCode !== 200) throw new Error(`${image} was not loaded: ${said}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      if (this.#child === undefined) await this.start();
      for (const { id } of await this.engine.listContainers({}, AbortSignal.timeout(60_000)))
        await this.engine.removeContainer(id, AbortSignal.timeout(60_000));
    } finally {
      await this.engine[Symbol.asyncDispose]();
      await this.stop("SIGTERM");
      await end(this.#containerd, "SIGTERM");
      await unmountBelow(this.#folder);
      await rm(this.#folder, { recursive: true, force: true, maxRetries: 5 });
    }
  }
}

async function end(child: ChildProcess | undefined, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, "exit");
  child.kill(signal);
  await ended;
}

function ask(socketPath: string, how: RequestOptions, body?: IncomingMessage): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const headers = body === undefined ? {} : { "content-type": "application/x-tar" };
  const asking = request({ ...how, socketPath, headers }, resolve).on("error", reject);
  if (body === undefined) asking.end();
  else body.pipe(asking);
  return promise;
}

/** An engine that was killed leaves its data folder mounted on itself. */
async function unmountBelow(folder: string): Promise<void> {
  const mounts = (await readFile("/proc/self/mounts", "utf8"))
    .split("\n")
    .map((line) => line.split(" ")[1] ?? "");
  for (const path of mounts.filter((mount) => mount.startsWith(`${folder}/`)).reverse())
    await promisify(execFile)("umount", [path]);
}
