import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { InstallationId, TenantId } from "../../../src/domain/ids.ts";
import type { Pool } from "../../../src/domain/runtime.ts";
import { parseLabels } from "../../../src/engine/labels.ts";
import type { SupervisionSettings } from "../../../src/runtime/settings.ts";
import { MemoryEngine } from "../../support/engine-memory/memory-engine.ts";
import { aPool } from "../builders/a-pool.ts";
import { FakeTransport } from "../doubles/fake-transport.ts";
import { LocalQueue } from "../doubles/local-queue.ts";
import { ManualClock } from "../doubles/manual-clock.ts";
import { MemoryRows } from "../doubles/memory-rows.ts";
import { type RuntimeParts, type RuntimePartsOptions, startRuntimeParts } from "./runtime-parts.ts";

const KEY = aPool().key;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;

/** A keeper of pools on rows, engine, links and clock in memory. */
export class KeeperWorld implements AsyncDisposable {
  readonly clock = new ManualClock();
  readonly rows = new MemoryRows({ clock: this.clock });
  readonly queue = new LocalQueue();
  readonly transport = new FakeTransport();
  readonly dataFolder: string;
  /** False: what starts never becomes ready. */
  becomesReady = true;
  readonly engine = new MemoryEngine({
    now: () => this.clock.now(),
    onStart: (_id, spec) => {
      const link = this.transport.links.get(parseLabels(spec.labels)?.runtime ?? "");
      if (this.becomesReady) link?.becomeReady();
    },
  });
  readonly #running: RuntimeParts[] = [];

  constructor(dataFolder: string) {
    this.dataFolder = dataFolder;
    this.engine.addImage(aPool().imageRef);
  }

  async start(
    supervision: Partial<SupervisionSettings> = {},
    more: Partial<RuntimePartsOptions> = {},
  ): Promise<RuntimeParts> {
    const { clock, queue, engine, transport, dataFolder } = this;
    const parts = await startRuntimeParts({
      clock,
      queue,
      engine,
      transport,
      dataFolder,
      store: this.rows,
      holder: "a-worker",
      supervision,
      ...more,
    });
    this.#running.push(parts);
    return parts;
  }

  /** A pool with one ready runtime. */
  async ready(
    supervision: Partial<SupervisionSettings> = {},
    more: Partial<RuntimePartsOptions> = {},
    pool: Partial<Pool> = {},
  ): Promise<RuntimeParts> {
    this.rows.addPool(pool);
    const parts = await this.start(supervision, more);
    const ready = parts.keeper.ensureReady(KEY, quietly, never);
    await this.clock.until(() => this.rows.pool().state === "ready");
    await ready;
    return parts;
  }

  /** What was started last. */
  get running(): RuntimeParts {
    const parts = this.#running.at(-1);
    if (parts === undefined) throw new Error("no keeper");
    return parts;
  }

  get current() {
    const [row] = this.rows.runtimesOf();
    if (row === undefined) throw new Error("no Runtime");
    return row;
  }

  /** Ends the current runtime's container and waits until the keeper has acted on it. */
  async crash(exitCode = 1): Promise<void> {
    const { id, containerId = "" } = this.current;
    this.engine.crash(containerId, { exitCode });
    await this.clock.until(() => this.rows.runtimeRows.get(id)?.state === "ended");
    await this.clock.until(() => this.rows.pool().state !== "ready" || this.current.id !== id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const parts of this.#running.splice(0)) await parts[Symbol.asyncDispose]();
    await rm(this.dataFolder, { recursive: true, force: true });
  }
}

/** Makes worlds that end with the test: `afterEach` is that of the test's file. */
export function keeperWorlds(afterEach: (work: () => Promise<void>) => void): () => Promise<KeeperWorld> {
  const worlds: KeeperWorld[] = [];
  afterEach(async () => {
    for (const world of worlds.splice(0)) await world[Symbol.asyncDispose]();
  });
  return async () => {
    // Sockets below it have 107 bytes for their names.
    const world = new KeeperWorld(await mkdtemp(join(tmpdir(), "k-")));
    worlds.push(world);
    return world;
  };
}

/** An installation that the world's pool serves; what is returned reads its row. */
export function anInstallation(world: KeeperWorld) {
  const id = InstallationId.parse("11111111-1111-4111-8111-111111111111");
  const tenantId = TenantId.parse("22222222-2222-4222-8222-222222222222");
  const { pluginId, identifier, limits } = aPool();
  const at = new Date(world.clock.now());
  world.rows.installationRows.set(id, {
    id,
    tenantId,
    pluginId,
    identifier,
    permissions: {},
    previousIdentifier: undefined,
    previousImageKey: undefined,
    desired: "enabled",
    state: "ready",
    cause: undefined,
    generation: 1,
    limitsAsked: { memoryIsHard: false },
    limitsGranted: limits,
    limitsWanted: {},
    poolKey: KEY,
    nextPoolKey: undefined,
    source: "package",
    meta: {},
    warnings: [],
    trust: undefined,
    createdAt: at,
    updatedAt: at,
  });
  return () => world.rows.installationRows.get(id);
}
