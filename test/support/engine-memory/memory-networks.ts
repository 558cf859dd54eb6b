import { Fault } from "../../../src/domain/fault.ts";
import type { LabelFilter, NetworkAddresses, NetworkSpec } from "../../../src/engine/engine.ts";
import { matchLabels } from "./match-labels.ts";

/** The networks of a MemoryEngine: names and what they were made for, without addresses of their own. */
export class MemoryNetworks {
  readonly #networks = new Map<string, NetworkSpec>();

  ensure(spec: NetworkSpec): NetworkAddresses {
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

  list(labels: LabelFilter): readonly string[] {
    const found = [...this.#networks.values()].filter((network) => matchLabels(network.labels, labels));
    return found.map(({ name }) => name);
  }

  remove(name: string): void {
    this.#networks.delete(name);
  }
}
