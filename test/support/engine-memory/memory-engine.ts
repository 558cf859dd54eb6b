/**
 * An engine without containers, for tests of what supervises them. It passes the engine's contract for lifecycle, labels,
 * events and networks, and fails on demand as a real engine fails rarely. Logs are those that a test writes; a process
 * runs only where the test says what it does.
 */
import type { Readable } from "node:stream";
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
import { EngineFaults, engineGone, type MemoryOperation } from "./engine-faults.ts";
import { EventHub } from "./event-hub.ts";
import { matchLabels } from "./match-labels.ts";
import { MemoryContainers } from "./memory-containers.ts";
import { MemoryImages } from "./memory-images.ts";
import { MemoryMarks } from "./memory-marks.ts";
import { MemoryNetworks } from "./memory-networks.ts";
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
  /** Runs when a container has started: the place to let a fake runner dial. */
  readonly onStart?: (containerId: string, spec: ContainerSpec) => void;
}

export class MemoryEngine implements Engine {
  readonly #options: MemoryEngineOptions;
  readonly #events = new EventHub();
  readonly #faults = new EngineFaults();
  readonly #images = new MemoryImages(() => this.#time());
  readonly #containers = new MemoryContainers({ events: this.#events, time: () => this.#time() });
  readonly #marks = new MemoryMarks();
  readonly #networks = new MemoryNetworks();

  constructor(options: MemoryEngineOptions) {
    this.#options = options;
  }

  /** As if it had been built: returns its id. */
  addImage(...image: Parameters<MemoryImages["add"]>): string {
    return this.#images.add(...image);
  }

  /** The container ends by itself. */
  crash(idOrName: string, { exitCode, oom = false }: { exitCode: number; oom?: boolean }): void {
    this.#containers.crash(idOrName, { exitCode, oom });
  }

  /** The next create makes its container and fails with `engine_unavailable`. */
  loseNextCreateReply(): void {
    this.#faults.losesCreateReply = true;
  }

  /** True: every call and every open stream fails with `engine_unavailable`. What runs goes on running. */
  unavailable(is: boolean): void {
    this.#faults.isUnavailable = is;
    if (is) this.cutEvents();
  }

  /** The open event streams break; calls go on. */
  cutEvents(): void {
    this.#events.cut(engineGone());
  }

  failNext(operation: MemoryOperation, fault: Fault): void {
    this.#faults.failNext(operation, fault);
  }

  /** How often an operation was asked for. */
  count(operation: MemoryOperation): number {
    return this.#faults.count(operation);
  }

  specOf(idOrName: string): ContainerSpec {
    return this.#containers.get(idOrName).spec;
  }

  writeLog(idOrName: string, chunk: LogChunk): void {
    this.#containers.get(idOrName).logs.push(chunk);
  }

  async info(signal: AbortSignal) {
    this.#faults.enter(undefined, signal);
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
    this.#faults.enter(undefined, signal);
    return this.#images.find(reference);
  }

  async listImages(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineImage[]> {
    this.#faults.enter(undefined, signal);
    return this.#images.all().filter((image) => matchLabels(image.labels, labels));
  }

  async removeImage(reference: string, signal: AbortSignal): Promise<void> {
    this.#faults.enter(undefined, signal);
    const image = this.#images.find(reference);
    if (image === undefined) return;
    const user = this.#containers.usingImage(image.id);
    if (user !== undefined) throw new Fault("conflict", `${reference} is in use by ${user.state.name}.`);
    this.#images.remove(reference, image);
  }

  async importImage(
    { reference, labels }: { readonly reference: string; readonly labels: Readonly<Record<string, string>> },
    tar: Readable,
    signal: AbortSignal,
  ): Promise<string> {
    this.#faults.enter(undefined, signal);
    for await (const _chunk of tar) signal.throwIfAborted();
    return this.addImage(reference, labels);
  }

  async saveImage(id: string, signal: AbortSignal): Promise<Readable> {
    this.#faults.enter(undefined, signal);
    return this.#images.save(id);
  }

  async loadImage(tar: Readable, signal: AbortSignal): Promise<void> {
    this.#faults.enter(undefined, signal);
    await this.#images.load(tar);
  }

  async createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<string> {
    this.#faults.enter("create", signal);
    const id = this.#containers.create(spec, this.#images.get(spec.image).id);
    if (this.#faults.losesCreateReply) {
      this.#faults.losesCreateReply = false;
      throw engineGone();
    }
    return id;
  }

  async startContainer(id: string, signal: AbortSignal): Promise<void> {
    this.#faults.enter("start", signal);
    const started = this.#containers.start(id);
    if (started !== undefined) this.#options.onStart?.(started.state.id, started.spec);
  }

  async updateContainer(id: string, resources: LiveResources, signal: AbortSignal): Promise<void> {
    this.#faults.enter("update", signal);
    this.#containers.update(id, resources);
  }

  async stopContainer(id: string, _options: { graceMs: number }, signal: AbortSignal): Promise<void> {
    this.#faults.enter("stop", signal);
    this.#containers.signal(id, 15);
  }

  async killContainer(id: string, signal: AbortSignal): Promise<void> {
    this.#faults.enter("kill", signal);
    this.#containers.signal(id, 9);
  }

  async removeContainer(id: string, signal: AbortSignal): Promise<void> {
    this.#faults.enter("remove", signal);
    this.#containers.remove(id);
  }

  async findContainer(idOrName: string, signal: AbortSignal): Promise<ContainerState | undefined> {
    this.#faults.enter("find", signal);
    return this.#containers.find(idOrName)?.state;
  }

  async listContainers(labels: LabelFilter, signal: AbortSignal): Promise<readonly ContainerState[]> {
    this.#faults.enter("list", signal);
    return this.#containers.list(labels);
  }

  async exec(
    id: string,
    spec: ExecSpec,
    { onOutput }: { onOutput: (chunk: Buffer, stream: "stdout" | "stderr") => void },
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number }> {
    this.#faults.enter("exec", signal);
    const container = this.#containers.get(id);
    if (container.state.phase !== "running") throw new Fault("conflict", `${id} does not run.`);
    const { onExec } = this.#options;
    if (onExec === undefined) throw new Fault("engine_refused", "This Engine was given nothing to execute.");
    return await onExec(container.state.id, spec, onOutput, signal);
  }

  async putArchive(id: string, _path: string, tar: Readable, signal: AbortSignal): Promise<void> {
    this.#faults.enter(undefined, signal);
    this.#containers.get(id);
    for await (const _chunk of tar) signal.throwIfAborted();
  }

  async getArchive(id: string, path: string, signal: AbortSignal): Promise<Readable> {
    this.#faults.enter(undefined, signal);
    return await readMounted(this.#containers.get(id).spec.mounts, path);
  }

  async commit(
    id: string,
    spec: { readonly reference: string; readonly labels: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<string> {
    this.#faults.enter("commit", signal);
    const { image } = this.#containers.get(id).state;
    return this.addImage(spec.reference, spec.labels, this.#images.find(image)?.layers);
  }

  async *events(
    labels: LabelFilter,
    { since }: { since?: Date },
    signal: AbortSignal,
  ): AsyncGenerator<EngineEvent> {
    this.#faults.enter(undefined, signal);
    for await (const event of this.#events.subscribe(since, signal)) {
      if (matchLabels(event.labels, labels)) yield event;
    }
  }

  async *logs(
    id: string,
    { since, tail }: { follow: boolean; since?: Date; tail?: number },
    signal: AbortSignal,
  ): AsyncGenerator<LogChunk> {
    this.#faults.enter(undefined, signal);
    const from = since?.getTime() ?? 0;
    const lines = this.#containers.get(id).logs.filter((line) => line.at.getTime() >= from);
    yield* tail === undefined ? lines : lines.slice(lines.length - Math.min(tail, lines.length));
  }

  async ensureMark(
    { name, labels }: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>> {
    this.#faults.enter(undefined, signal);
    return this.#marks.ensure(name, labels);
  }

  async listMarks(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineMark[]> {
    this.#faults.enter(undefined, signal);
    return this.#marks.list(labels);
  }

  async removeMark(name: string, signal: AbortSignal): Promise<void> {
    this.#faults.enter(undefined, signal);
    this.#marks.remove(name);
  }

  async ensureNetwork(spec: NetworkSpec, signal: AbortSignal): Promise<NetworkAddresses> {
    this.#faults.enter(undefined, signal);
    return this.#networks.ensure(spec);
  }

  async listNetworks(labels: LabelFilter, signal: AbortSignal): Promise<readonly string[]> {
    this.#faults.enter(undefined, signal);
    return this.#networks.list(labels);
  }

  async removeNetwork(name: string, signal: AbortSignal): Promise<void> {
    this.#faults.enter(undefined, signal);
    this.#networks.remove(name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.unavailable(true);
  }

  #time(): Date {
    return new Date(this.#options.now());
  }
}
