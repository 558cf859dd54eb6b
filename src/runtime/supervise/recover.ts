/**
 * Decides how to take over a runtime that an earlier keeper left: finds its container by the name in the row and checks
 * the labels. It changes nothing.
 */
import type { ContainerState } from "../../domain/container.ts";
import type { RuntimeRecord } from "../../domain/runtime.ts";
import type { Engine } from "../../engine/engine.ts";
import { parseLabels } from "../../engine/labels.ts";

export type Recovery =
  /** It runs: link it, and wait for its plugin if the row does not say ready yet. */
  | {
      readonly action: "adopt";
      readonly containerId: string;
      readonly resources: ContainerState["resources"];
    }
  /** It was created and never started: the start goes on from here. */
  | {
      readonly action: "start";
      readonly containerId: string;
      readonly resources: ContainerState["resources"];
    }
  /** It has ended: report the end and remove what is left. */
  | {
      readonly action: "reap";
      readonly containerId: string;
      /** A signal ended it while nobody watched: the host or the engine may have gone down. */
      readonly wasKilled: boolean;
    }
  /** There is no container. `wasRunning`: there was one before, so this counts as a failure of the runtime. */
  | { readonly action: "forget"; readonly wasRunning: boolean };

export async function findRecovery(
  { engine, instanceId }: { readonly engine: Pick<Engine, "findContainer">; readonly instanceId: string },
  record: RuntimeRecord,
  signal: AbortSignal,
): Promise<Recovery> {
  const found = await engine.findContainer(record.containerId ?? record.containerName, signal);
  return planRecovery(record, found, instanceId);
}

function planRecovery(
  record: RuntimeRecord,
  found: ContainerState | undefined,
  instanceId: string,
): Recovery {
  const labels = found === undefined ? undefined : parseLabels(found.labels);
  const isOurs =
    labels?.instance === instanceId && labels.runtime === record.id && labels.specHash === record.specHash;
  if (found === undefined || !isOurs) return { action: "forget", wasRunning: record.state !== "starting" };
  const { id: containerId, resources } = found;
  switch (found.phase) {
    case "running":
      return { action: "adopt", containerId, resources };
    case "created":
      return { action: "start", containerId, resources };
    case "exited":
    case "dead":
      return { action: "reap", containerId, wasKilled: (found.exitCode ?? 0) > 128 && !found.oomKilled };
    default:
      return found.phase satisfies never;
  }
}
