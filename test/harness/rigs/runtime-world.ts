/** Runtimes on the real engine: a plugin that does what a test asks, instances of its own, and sessions with it. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll } from "vitest";
import type { SessionFrame } from "../../../src/domain/frame.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { formatLabelFilter } from "../../../src/engine/labels.ts";
import { silentLog } from "../../../src/observe/log.ts";
import type { ReachableRuntime } from "../../../src/runtime/runtimes.ts";
import { createSocketTransport } from "../../../src/transport/socket/socket-transport.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { MemoryRows } from "../doubles/memory-rows.ts";
import { SOON_MS } from "../samples/lengths.ts";
import { makePluginImage } from "./plugin-image.ts";
import { type RuntimeParts, type RuntimePartsOptions, startRuntimeParts } from "./runtime-parts.ts";
import { openTestEngine, type TestEngine, within } from "./test-engine.ts";

const FIXTURE = `
import os, resource, sys
import berth_protocol
def handle(session):
    ask = session.parameters
    if "say" in ask:
        print(ask["say"], file=sys.stderr, flush=True)
    if "exit" in ask:
        os._exit(ask["exit"])
    if "eat" in ask:
        hoard = []
        while True:
            hoard.append(bytearray(os.urandom(1) * 1048576))
    if "eval" in ask:
        session.json({"value": eval(ask["eval"], {"os": os, "resource": resource, "open": open})})
berth_protocol.serve(handle)
`;

/** One engine and image for the tests of a file, and worlds that end with the test. */
export function runtimeWorlds(): () => Promise<RuntimeWorld> {
  const worlds: RuntimeWorld[] = [];
  let docker: TestEngine;
  let image: string;
  beforeAll(async () => {
    docker = await openTestEngine();
    image = await makePluginImage(docker.engine, {
      name: docker.name("fixture"),
      labels: docker.labels,
      files: {
        main: FIXTURE,
        crash_at_import: 'import nothing_of_that_name\nprint("never said")\n',
        never_ready: "import time\nprint('thinking', flush=True)\ntime.sleep(600)\n",
      },
    });
  });
  afterEach(async () => {
    for (const world of worlds.splice(0)) await world[Symbol.asyncDispose]();
  });
  afterAll(() => docker?.[Symbol.asyncDispose]());
  return async () => {
    // Sockets below it have 107 bytes for their names.
    const dataFolder = await mkdtemp(join(tmpdir(), "b-"));
    const world = new RuntimeWorld({ engine: docker.engine, image, dataFolder });
    worlds.push(world);
    return world;
  };
}

interface Place {
  readonly engine: Engine;
  readonly image: string;
  readonly dataFolder: string;
}

/** One instance with its own rows, data folder and network; `start` begins a Berth process on it, as often as wanted. */
class RuntimeWorld implements AsyncDisposable {
  readonly rows = new MemoryRows({ clock: systemClock, instanceId: randomBytes(4).toString("hex") });
  readonly queue = new LocalQueue();
  readonly engine: Engine;
  /** Of the plugin; `crash_at_import` and `never_ready` are other entry points of it. */
  readonly image: string;
  readonly dataFolder: string;
  readonly #running = new Set<RuntimeParts>();

  constructor({ engine, image, dataFolder }: Place) {
    this.engine = engine;
    this.image = image;
    this.dataFolder = dataFolder;
  }

  async start(options: Partial<RuntimePartsOptions> = {}): Promise<RuntimeParts> {
    const holder = options.holder ?? randomBytes(4).toString("hex");
    const transport = createSocketTransport({ processId: holder, log: silentLog, settleMs: SOON_MS });
    const parts = await startRuntimeParts({
      store: this.rows,
      engine: this.engine,
      queue: this.queue,
      dataFolder: this.dataFolder,
      transport,
      holder,
      ...options,
    });
    const stop = parts[Symbol.asyncDispose].bind(parts);
    const running: RuntimeParts = {
      ...parts,
      [Symbol.asyncDispose]: async () => {
        if (!this.#running.delete(running)) return;
        await stop();
        await transport[Symbol.asyncDispose]();
      },
    };
    this.#running.add(running);
    return running;
  }

  containers() {
    return this.engine.listContainers(formatLabelFilter({ instance: this.rows.instanceId }), within());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const parts of [...this.#running]) await parts[Symbol.asyncDispose]();
    for (const { id } of await this.containers()) await this.engine.removeContainer(id, within());
    await this.engine.removeNetwork(`berth-${this.rows.instanceId}`, within());
    await rm(this.dataFolder, { recursive: true, force: true });
  }
}

/** Resolves with the value that the plugin answered, rejects with the Fault that ended the session. */
export function ask({ link }: ReachableRuntime, parameters: Record<string, unknown>): Promise<unknown> {
  const sessionId = randomBytes(8).toString("hex");
  const line = JSON.stringify({
    session_id: sessionId,
    conversation_id: null,
    message_id: null,
    app_id: null,
    endpoint_id: null,
    context: {},
    event: "request",
    data: { tool_parameters: parameters },
  });
  return new Promise((resolve, reject) => {
    let value: unknown;
    const onFrame = (frame: SessionFrame) => {
      if (frame.type === "stream") value = JSON.parse(frame.data.text).message.json_object.value;
      if (frame.type === "error") reject(new Error(JSON.stringify(frame.error)));
      if (frame.type === "end") resolve(value);
    };
    link.openSession(sessionId, line, { onFrame, onLost: reject });
  });
}

/** The runner's process, as the machine of the engine counts it. */
export async function runnerOf(containerId: string): Promise<number> {
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = (file: string) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
    const [command = "", ...rest] = (await read("cmdline")).split("\0");
    if (!command.endsWith("python3") || !rest.some((word) => word.endsWith("runner.py"))) continue;
    if ((await read("cgroup")).includes(containerId)) return Number(pid);
  }
  throw new Error(`no runner in ${containerId}`);
}
