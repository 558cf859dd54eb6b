import type { ContainerSpec } from "../domain/container.ts";
import { Fault, isFault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";

export interface Guarding {
  /** Sees to it that the rules of its network stand, and says on which network it is to be. */
  readonly admit: (spec: ContainerSpec, signal: AbortSignal) => Promise<ContainerSpec["network"]>;
  /** A Container has its address by now. */
  readonly onStarted: (containerId: string, signal: AbortSignal) => Promise<void>;
}

/**
 * The Engine for whoever makes Containers: it asks before it makes one, and tells of a start before the start counts as
 * done. Everything else goes through.
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

/** The Engine says it in words of its own, in which no setting of ours stands. An address comes free with each Container that goes. */
function nameAddresses(error: unknown): never {
  if (!isFault(error, "engine_refused") || !/no available IPv4 addresses/i.test(error.message)) throw error;
  throw new Fault(
    "host_full",
    "All addresses of the plugins' network are in use: stop unused plugins, or set a larger subnet in " +
      "BERTH_EGRESS_SUBNET.",
    { cause: error },
  );
}
