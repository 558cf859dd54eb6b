import type { ContainerSpec } from "../domain/container.ts";
import { Fault, isFault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";

export interface Guarding {
  /** Resolves with the network for the container when that network's rules are set. */
  readonly admit: (spec: ContainerSpec, signal: AbortSignal) => Promise<ContainerSpec["network"]>;
  /** The container has started and has its address. */
  readonly onStarted: (containerId: string, signal: AbortSignal) => Promise<void>;
}

/**
 * Wraps the engine: `admit` runs before a container is made, and `onStarted` before its start resolves. Everything else
 * is passed on.
 */
export function guardedEngine(engine: Engine, { admit, onStarted }: Guarding): Engine {
  const createContainer: Engine["createContainer"] = async (spec, signal) =>
    await engine.createContainer({ ...spec, network: await admit(spec, signal) }, signal);
  const startContainer: Engine["startContainer"] = async (id, signal) => {
    await engine.startContainer(id, signal).catch(nameAddresses);
    await onStarted(id, signal);
  };
  return new Proxy(engine, {
    get(target, name) {
      if (name === "createContainer") return createContainer;
      if (name === "startContainer") return startContainer;
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

/** Names the setting, which the engine's own message cannot. Each container that ends frees an address. */
function nameAddresses(error: unknown): never {
  if (!isFault(error, "engine_refused") || !/no available IPv4 addresses/i.test(error.message)) throw error;
  throw new Fault(
    "host_full",
    "All addresses of the plugins' network are in use: stop unused plugins, or set a larger subnet in " +
      "BERTH_EGRESS_SUBNET.",
    { cause: error },
  );
}
