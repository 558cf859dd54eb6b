/**
 * One instance id, one Berth on an Engine. Names and labels of all that Berth makes there carry the instance id, so two
 * Berths with one id (a copy started beside the original) would adopt and sweep each other's Containers. The Engine
 * itself is where both can see it: a mark says who holds the id.
 */
import { Fault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";
import { formatLabelFilter, formatLabels, parseLabels } from "../engine/labels.ts";
import { networkName } from "./profile.ts";

/** Where a Berth keeps what is its own. All processes of one Berth agree on both. */
export interface InstanceHolder {
  /** Real path of the data folder. */
  readonly dataFolder: string;
  /** Another one for each database, also for a copy of it. */
  readonly database: string;
}

/** Takes the id, or finds that it is held already by this very holder. Throws `instance_claimed`, naming both. */
export async function claimInstance(
  engine: Engine,
  { instanceId, holder }: { readonly instanceId: string; readonly holder: InstanceHolder },
  signal: AbortSignal,
): Promise<void> {
  const labels = formatLabels({ instance: instanceId, kind: "claim", ...holder });
  const other = holderOf(await engine.ensureMark({ name: markName(instanceId), labels }, signal));
  if (isSame(other, holder)) return;
  throw new Fault(
    "instance_claimed",
    `The instance ${instanceId} belongs, on this engine, to the Berth with ${describeHolder(other)}; ` +
      `this is one with ${describeHolder(holder)}. Two of them would remove each other's containers. If the other one ` +
      "is gone for good, or this one was moved or restored in its place, stop it and run: berth claim --yes",
    { details: { field: "instance", value: holder, accepted: other } },
  );
}

export async function findHolder(
  engine: Engine,
  instanceId: string,
  signal: AbortSignal,
): Promise<InstanceHolder | undefined> {
  const labels = await engine.findMark(markName(instanceId), signal);
  return labels === undefined ? undefined : holderOf(labels);
}

/** What the instance has on the Engine beside images: names of Containers, of plugins and of builds. */
export async function listLeft(
  engine: Engine,
  instanceId: string,
  signal: AbortSignal,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  return await engine.listContainers(formatLabelFilter({ instance: instanceId }), signal);
}

/** Removes Containers, network and mark of the instance, whoever made them. Images stay: they are good for anybody. */
export async function clearInstance(engine: Engine, instanceId: string, signal: AbortSignal): Promise<void> {
  for (const { id } of await listLeft(engine, instanceId, signal)) await engine.removeContainer(id, signal);
  await engine.removeNetwork(networkName(instanceId), signal);
  await engine.removeMark(markName(instanceId), signal);
}

export async function releaseInstance(
  engine: Engine,
  instanceId: string,
  signal: AbortSignal,
): Promise<void> {
  await engine.removeMark(markName(instanceId), signal);
}

export function isSame(a: InstanceHolder, b: InstanceHolder): boolean {
  return a.dataFolder === b.dataFolder && a.database === b.database;
}

export function describeHolder({ dataFolder, database }: InstanceHolder): string {
  return `data folder ${dataFolder} and database ${database}`;
}

function markName(instanceId: string): string {
  return `berth-${instanceId}-claim`;
}

function holderOf(labels: Readonly<Record<string, string>>): InstanceHolder {
  const { dataFolder = "(unknown)", database = "(unknown)" } = parseLabels(labels) ?? {};
  return { dataFolder, database };
}
