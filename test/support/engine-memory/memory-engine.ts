/**
 * An Engine without Containers, for tests of whatever supervises them. It keeps the same contract for lifecycle,
 * labels, events and networks as the real one, and does to its caller on demand what a real one does rarely. Logs are
 * those that a test writes; a process runs only where the test says what it does.
 */
import { randomBytes } from "node:crypto";
import { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { ContainerSpec, ContainerState, LiveResources } from "../../../src/domain/container.ts";
import { Fault } from "../../../src/domain/fault.ts";
import type {
  Engine,
  EngineEvent,
  EngineImage,
  EngineMark,
  ExecSpec,
  LabelFilter,
  LogChunk,
  NetworkAddresses,
  NetworkSpec,
} from "../../../src/engine/engine.ts";
import { EventHub } from "./event-hub.ts";
import { readMounted } from "./mounted-file.ts";

export interface MemoryEngineOptions {
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  readonly onExec?: (
    containerId: string,
    spec: ExecSpec,
    onOutput: (chunk: Buffer, stream: "stdout" | "stderr") => void,
    signal: AbortSignal,
  ) => Promise<{ exitCode: number }>;
  /** Runs when a Container has started: the place to let a fake runner dial. */
  readonly onStart?: (containerId: string, spec: ContainerSpec) => void;
}

/** Operations that a test may count or fail. */
export type MemoryOperation =
  | "create"
  | "start"
  | "update"
  | "stop"
  | "kill"
  | "remove"
  | "find"
  | "list"
  | "commit"
  | "exec";

interface MemoryContainer {
  readonly spec: ContainerSpec;
  readonly logs: LogChunk[];
  state: ContainerState;
}

export class MemoryEngine implements Engine {
  readonly #options: MemoryEngineOptions;
  readonly #containers = new Map<string, MemoryContainer>();
  readonly #images = new Map<string, EngineImage>();
  readonly #marks = new Map<string, Readonly<Record<string, string>>>();
  readonly #networks = new Map<string, NetworkSpec>();
  readonly #events = new EventHub();
  readonly #counts = new Map<MemoryOperation, number>();
  readonly #failures = new Map<MemoryOperation, Fault[]>();
  #unavailable = false;
  #losesCreateReply = false;

  constructor(options: MemoryEngineOptions) {
    this.#options = options;
  }

  // ---- what a test does to it

  /** As if it had been built: resolves with its id. */
  addImage(
    reference: string,
    labels: Readonly<Record<string, string>> = {},
    below: readonly string[] = [],
  ): string {
    const id = `sha256:${randomBytes(32).toString("hex")}`;
    for (const [other, image] of this.#images) {
      const tags = image.tags.filter((tag) => tag !== reference);
      this.#images.set(other, { ...image, tags });
    }
    const layers = [...below, id];
    const bytes = layers.length;
    this.#images.set(id, { id, tags: [reference], labels, bytes, createdAt: this.#time(), layers });
    return id;
  }

  /** The Container ends by itself. */
  crash(idOrName: string, { exitCode, oom = false }: { exitCode: number; oom?: boolean }): void {
    const container = this.#get(idOrName);
    if (oom) {
      container.state = { ...container.state, oomKilled: true };
      this.#emit("oom", container);
    }
    this.#end(container, exitCode);
  }

  /** The next create makes its Container and fails with `engine_unavailable`. */
  loseNextCreateReply(): void {
    this.#losesCreateReply = true;
  }

  /** True: every call and every open stream fails with `engine_unavailable`. What runs goes on running. */
  unavailable(is: boolean): void {
    this.#unavailable = is;
    if (is) this.#events.cut(gone());
  }

  /** The open event streams break; calls go on. */
  cutEvents(): void {
    this.#events.cut(gone());
  }

  failNext(operation: MemoryOperation, fault: Fault): void {
    this.#failures.set(operation, [...(this.#failures.get(operation) ?? []), fault]);
  }

  /** How often an operation was asked for. */
  count(operation: MemoryOperation): number {
    return this.#counts.get(operation) ?? 0;
  }

  specOf(idOrName: string): ContainerSpec {
    return this.#get(idOrName).spec;
  }

  writeLog(idOrName: string, chunk: LogChunk): void {
    this.#get(idOrName).logs.push(chunk);
  }

  // ---- the contract

  async info(signal: AbortSignal) {
    this.#enter(undefined, signal);
    return {
      name: "memory",
      version: "1",
      apiVersion: "1.41",
      arch: "amd64",
      cgroupVersion: "2" as const,
      cpus: 2,
      memoryBytes: 8 * 1024 ** 3,
      remapsUsers: false,
    };
  }

  async findImage(reference: string, signal: AbortSignal): Promise<EngineImage | undefined> {
    this.#enter(undefined, signal);
    return this.#findImage(reference);
  }

  async listImages(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineImage[]> {
    this.#enter(undefined, signal);
    return [...this.#images.values()].filter((image) => matches(image.labels, labels));
  }

  async removeImage(reference: string, signal: AbortSignal): Promise<void> {
    this.#enter(undefined, signal);
    const image = this.#findImage(reference);
    if (image === undefined) return;
    for (const { state } of this.#containers.values()) {
      if (state.image === image.id) throw new Fault("conflict", `${reference} is in use by ${state.name}.`);
    }
    const isBelow = [...this.#images.values()].some(
      ({ id, layers }) => id !== image.id && layers?.includes(image.id),
    );
    if (reference === image.id && (image.tags.length > 1 || isBelow))
      throw new Fault("conflict", `${reference} is needed by another image or reference.`);
    this.#images.delete(image.id);
  }

  async importImage(
    { reference, labels }: { readonly reference: string; readonly labels: Readonly<Record<string, string>> },
    tar: Readable,
    signal: AbortSignal,
  ): Promise<string> {
    this.#enter(undefined, signal);
    for await (const _chunk of tar) signal.throwIfAborted();
    return this.addImage(reference, labels);
  }

  async saveImage(id: string, signal: AbortSignal): Promise<Readable> {
    this.#enter(undefined, signal);
    const image = this.#images.get(id);
    if (image === undefined) throw new Fault("not_found", `The Engine has no image ${id}.`);
    return Readable.from([JSON.stringify({ ...image, tags: [] })]);
  }

  async loadImage(tar: Readable, signal: AbortSignal): Promise<void> {
    this.#enter(undefined, signal);
    const { createdAt, ...saved } = JSON.parse(await text(tar)) as EngineImage;
    if (!this.#images.has(saved.id)) this.#images.set(saved.id, { ...saved, createdAt: new Date(createdAt) });
  }

  async createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<string> {
    this.#enter("create", signal);
    const image = this.#findImage(spec.image);
    if (image === undefined) throw new Fault("not_found", `The Engine has no image ${spec.image}.`);
    if (this.#find(spec.name) !== undefined) throw new Fault("conflict", `The name ${spec.name} is taken.`);
    const id = randomBytes(32).toString("hex");
    const state = {
      id,
      name: spec.name,
      image: image.id,
      labels: spec.labels,
      resources: {
        memoryBytes: spec.resources.memoryBytes,
        cpuMillis: spec.resources.cpuMillis,
        pidsMax: spec.resources.pidsMax,
      },
      phase: "created" as const,
      createdAt: this.#time(),
      startedAt: undefined,
      finishedAt: undefined,
      exitCode: undefined,
      oomKilled: false,
    };
    this.#containers.set(id, { spec, logs: [], state });
    if (this.#losesCreateReply) {
      this.#losesCreateReply = false;
      throw gone();
    }
    return id;
  }

  async startContainer(id: string, signal: AbortSignal): Promise<void> {
    this.#enter("start", signal);
    const container = this.#get(id);
    if (container.state.phase === "running") return;
    container.state = {
      ...container.state,
      phase: "running",
      startedAt: this.#time(),
      finishedAt: undefined,
      exitCode: undefined,
      oomKilled: false,
    };
    this.#emit("start", container);
    this.#options.onStart?.(container.state.id, container.spec);
  }

  async updateContainer(
    id: string,
    { memoryBytes, cpuMillis, pidsMax }: LiveResources,
    signal: AbortSignal,
  ): Promise<void> {
    this.#enter("update", signal);
    const container = this.#get(id);
    container.state = { ...container.state, resources: { memoryBytes, cpuMillis, pidsMax } };
  }

  async stopContainer(id: string, _options: { graceMs: number }, signal: AbortSignal): Promise<void> {
    this.#enter("stop", signal);
    const container = this.#find(id);
    if (container !== undefined) this.#kill(container, 15);
  }

  async killContainer(id: string, signal: AbortSignal): Promise<void> {
    this.#enter("kill", signal);
    const container = this.#find(id);
    if (container !== undefined) this.#kill(container, 9);
  }

  async removeContainer(id: string, signal: AbortSignal): Promise<void> {
    this.#enter("remove", signal);
    const container = this.#find(id);
    if (container === undefined) return;
    this.#kill(container, 9);
    this.#containers.delete(container.state.id);
    this.#emit("destroy", container);
  }

  async findContainer(idOrName: string, signal: AbortSignal): Promise<ContainerState | undefined> {
    this.#enter("find", signal);
    return this.#find(idOrName)?.state;
  }

  async listContainers(labels: LabelFilter, signal: AbortSignal): Promise<readonly ContainerState[]> {
    this.#enter("list", signal);
    return [...this.#containers.values()]
      .map(({ state }) => ({
        ...state,
        startedAt: undefined,
        finishedAt: undefined,
        exitCode: undefined,
        oomKilled: false,
      }))
      .filter((state) => matches(state.labels, labels));
  }

  async exec(
    id: string,
    spec: ExecSpec,
    { onOutput }: { onOutput: (chunk: Buffer, stream: "stdout" | "stderr") => void },
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number }> {
    this.#enter("exec", signal);
    const container = this.#get(id);
    if (container.state.phase !== "running") throw new Fault("conflict", `${id} does not run.`);
    const { onExec } = this.#options;
    if (onExec === undefined) throw new Fault("engine_refused", "This Engine was given nothing to execute.");
    return await onExec(container.state.id, spec, onOutput, signal);
  }

  async putArchive(id: string, _path: string, tar: Readable, signal: AbortSignal): Promise<void> {
    this.#enter(undefined, signal);
    this.#get(id);
    for await (const _chunk of tar) signal.throwIfAborted();
  }

  async getArchive(id: string, path: string, signal: AbortSignal): Promise<Readable> {
    this.#enter(undefined, signal);
    return await readMounted(this.#get(id).spec.mounts, path);
  }

  async commit(
    id: string,
    spec: { readonly reference: string; readonly labels: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<string> {
    this.#enter("commit", signal);
    const { image } = this.#get(id).state;
    return this.addImage(spec.reference, spec.labels, this.#images.get(image)?.layers);
  }

  async *events(
    labels: LabelFilter,
    { since }: { since?: Date },
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    this.#enter(undefined, signal);
    for await (const event of this.#events.subscribe(since, signal)) {
      if (matches(event.labels, labels)) yield event;
    }
  }

  async *logs(
    id: string,
    { since, tail }: { follow: boolean; since?: Date; tail?: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogChunk> {
    this.#enter(undefined, signal);
    const from = since?.getTime() ?? 0;
    const lines = this.#get(id).logs.filter((line) => line.at.getTime() >= from);
    yield* tail === undefined ? lines : lines.slice(lines.length - Math.min(tail, lines.length));
  }

  async ensureMark(
    { name, labels }: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>> {
    this.#enter(undefined, signal);
    const set = this.#marks.get(name) ?? { ...labels };
    this.#marks.set(name, set);
    return set;
  }

  async listMarks(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineMark[]> {
    this.#enter(undefined, signal);
    const all = [...this.#marks].map(([name, found]) => ({ name, labels: found }));
    return all.filter((mark) => matches(mark.labels, labels));
  }

  async removeMark(name: string, signal: AbortSignal): Promise<void> {
    this.#enter(undefined, signal);
    this.#marks.delete(name);
  }

  async ensureNetwork(spec: NetworkSpec, signal: AbortSignal): Promise<NetworkAddresses> {
    this.#enter(undefined, signal);
    const there = this.#networks.get(spec.name);
    if (
      there !== undefined &&
      (there.bridge !== spec.bridge || there.betweenContainers !== spec.betweenContainers)
    ) {
      throw new Fault("conflict", `Network ${spec.name} exists with other settings than Berth needs.`);
    }
    this.#networks.set(spec.name, spec);
    return { subnet: spec.subnet ?? "198.51.100.0/24", gateway: "198.51.100.1" };
  }

  async listNetworks(labels: LabelFilter, signal: AbortSignal): Promise<readonly string[]> {
    this.#enter(undefined, signal);
    const found = [...this.#networks.values()].filter((network) => matches(network.labels, labels));
    return found.map(({ name }) => name);
  }

  async removeNetwork(name: string, signal: AbortSignal): Promise<void> {
    this.#enter(undefined, signal);
    this.#networks.delete(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.unavailable(true);
  }

  #enter(operation: MemoryOperation | undefined, signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#unavailable) throw gone();
    if (operation === undefined) return;
    this.#counts.set(operation, this.count(operation) + 1);
    const fault = this.#failures.get(operation)?.shift();
    if (fault !== undefined) throw fault;
  }

  #end(container: MemoryContainer, exitCode: number): void {
    if (container.state.phase !== "running") return;
    container.state = { ...container.state, phase: "exited", finishedAt: this.#time(), exitCode };
    this.#emit("die", container, { exitCode });
  }

  #kill(container: MemoryContainer, signal: number): void {
    if (container.state.phase === "running") this.#emit("kill", container, { signal });
    this.#end(container, 128 + signal);
  }

  #emit(
    action: EngineEvent["action"],
    { state }: MemoryContainer,
    more: { exitCode?: number; signal?: number } = {},
  ): void {
    this.#events.emit({ action, containerId: state.id, labels: state.labels, at: this.#time(), ...more });
  }

  #find(idOrName: string): MemoryContainer | undefined {
    const byId = this.#containers.get(idOrName);
    if (byId !== undefined) return byId;
    return [...this.#containers.values()].find(({ state }) => state.name === idOrName);
  }

  #get(idOrName: string): MemoryContainer {
    const found = this.#find(idOrName);
    if (found === undefined) throw new Fault("not_found", `There is no Container ${idOrName}.`);
    return found;
  }

  #findImage(reference: string): EngineImage | undefined {
    return (
      this.#images.get(reference) ?? [...this.#images.values()].find(({ tags }) => tags.includes(reference))
    );
  }

  #time(): Date {
    return new Date(this.#options.now());
  }
}

function gone(): Fault {
  return new Fault("engine_unavailable", "The Engine does not answer (a test took it away).");
}

function matches(labels: Readonly<Record<string, string>>, filter: LabelFilter): boolean {
  return Object.entries(filter).every(([key, value]) =>
    value === "" ? labels[key] !== undefined : labels[key] === value,
  );
}
