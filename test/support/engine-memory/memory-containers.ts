import { randomBytes } from "node:crypto";
import type { ContainerSpec, ContainerState, LiveResources } from "../../../src/domain/container.ts";
import { Fault } from "../../../src/domain/fault.ts";
import type { EngineEvent, LabelFilter, LogChunk } from "../../../src/engine/engine.ts";
import type { EventHub } from "./event-hub.ts";
import { matchLabels } from "./match-labels.ts";

export interface MemoryContainer {
  readonly spec: ContainerSpec;
  readonly logs: LogChunk[];
  state: ContainerState;
}

/** The containers of a MemoryEngine: their phases, and an event for each change. No process runs in them. */
export class MemoryContainers {
  readonly #containers = new Map<string, MemoryContainer>();
  readonly #events: EventHub;
  readonly #time: () => Date;

  constructor({ events, time }: { readonly events: EventHub; readonly time: () => Date }) {
    this.#events = events;
    this.#time = time;
  }

  find(idOrName: string): MemoryContainer | undefined {
    const byId = this.#containers.get(idOrName);
    if (byId !== undefined) return byId;
    return [...this.#containers.values()].find(({ state }) => state.name === idOrName);
  }

  get(idOrName: string): MemoryContainer {
    const found = this.find(idOrName);
    if (found === undefined) throw new Fault("not_found", `There is no Container ${idOrName}.`);
    return found;
  }

  usingImage(imageId: string): MemoryContainer | undefined {
    return [...this.#containers.values()].find(({ state }) => state.image === imageId);
  }

  /** As a list of the engine shows them, without when and how they ran. */
  list(labels: LabelFilter): readonly ContainerState[] {
    return [...this.#containers.values()]
      .map(({ state }) => ({ ...state, ...NEVER_RAN }))
      .filter((state) => matchLabels(state.labels, labels));
  }

  create(spec: ContainerSpec, image: string): string {
    if (this.find(spec.name) !== undefined) throw new Fault("conflict", `The name ${spec.name} is taken.`);
    const id = randomBytes(32).toString("hex");
    const { name, labels } = spec;
    const { memoryBytes, cpuMillis, pidsMax } = spec.resources;
    const resources = { memoryBytes, cpuMillis, pidsMax };
    const state = { id, name, image, labels, resources, createdAt: this.#time(), ...NEVER_RAN };
    this.#containers.set(id, { spec, logs: [], state: { ...state, phase: "created" } });
    return id;
  }

  /** Undefined where it runs already. */
  start(id: string): MemoryContainer | undefined {
    const container = this.get(id);
    if (container.state.phase === "running") return undefined;
    container.state = { ...container.state, ...NEVER_RAN, phase: "running", startedAt: this.#time() };
    this.#emit("start", container);
    return container;
  }

  update(id: string, { memoryBytes, cpuMillis, pidsMax }: LiveResources): void {
    const container = this.get(id);
    container.state = { ...container.state, resources: { memoryBytes, cpuMillis, pidsMax } };
  }

  /** Its process ends by that signal; one that is not there, or does not run, stays as it is. */
  signal(id: string, signal: number): void {
    const container = this.find(id);
    if (container === undefined) return;
    if (container.state.phase === "running") this.#emit("kill", container, { signal });
    this.#end(container, 128 + signal);
  }

  /** Its process ends by itself. */
  crash(idOrName: string, { exitCode, oom }: { readonly exitCode: number; readonly oom: boolean }): void {
    const container = this.get(idOrName);
    if (oom) {
      container.state = { ...container.state, oomKilled: true };
      this.#emit("oom", container);
    }
    this.#end(container, exitCode);
  }

  remove(id: string): void {
    const container = this.find(id);
    if (container === undefined) return;
    this.signal(id, 9);
    this.#containers.delete(container.state.id);
    this.#emit("destroy", container);
  }

  #end(container: MemoryContainer, exitCode: number): void {
    if (container.state.phase !== "running") return;
    container.state = { ...container.state, phase: "exited", finishedAt: this.#time(), exitCode };
    this.#emit("die", container, { exitCode });
  }

  #emit(
    action: EngineEvent["action"],
    { state }: MemoryContainer,
    more: { readonly exitCode?: number; readonly signal?: number } = {},
  ): void {
    this.#events.emit({ action, containerId: state.id, labels: state.labels, at: this.#time(), ...more });
  }
}

const NEVER_RAN = {
  startedAt: undefined,
  finishedAt: undefined,
  exitCode: undefined,
  oomKilled: false,
} as const;
