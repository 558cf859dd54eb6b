/**
 * Guarantees that one Berth holds an instance id on an engine. Names and labels of everything that Berth makes there
 * carry the id, so two Berths with one id (a copy started beside the original) would adopt and sweep each other's
 * containers. A mark on the engine, which both can see, names the holder.
 */
import { Fault, isFault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";
import { formatLabelFilter, formatLabels, parseLabels } from "../engine/labels.ts";
import type { Log } from "../observe/log.ts";
import { Outage } from "../observe/outage.ts";
import { type Clock, repeat } from "../util/clock.ts";
import { Scope } from "../util/scope.ts";

const LOOK_MS_MAX = 10_000;

/** Identifies a Berth by where its state is. All processes of one Berth agree on both. */
export interface InstanceHolder {
  /** Real path of the data folder. */
  readonly dataFolder: string;
  /** Differs for each database, also for a copy of one. */
  readonly database: string;
}

/**
 * Claims the id, or confirms this holder's claim. Throws `instance_claimed`, naming both holders, and
 * `engine_unavailable` if the mark names nobody: an engine that has just started (20.10) answers like this until it has
 * read the labels of its marks.
 */
export async function claimInstance(
  engine: Engine,
  { instanceId, holder }: { readonly instanceId: string; readonly holder: InstanceHolder },
  signal: AbortSignal,
): Promise<void> {
  const labels = formatLabels({ instance: instanceId, kind: "claim", ...holder });
  const other = holderOf(await engine.ensureMark({ name: markName(instanceId), labels }, signal));
  if (other === undefined) {
    throw new Fault(
      "engine_unavailable",
      `The Engine does not say who holds the instance ${instanceId}: its volume ${markName(instanceId)} has no labels. ` +
        "An Engine that has just started answers like this. If this persists, somebody else made that volume: remove it.",
    );
  }
  if (isSame(other, holder)) return;
  throw new Fault(
    "instance_claimed",
    `On this engine, the instance ${instanceId} belongs to the Berth with ${describeHolder(other)}; ` +
      `this one has ${describeHolder(holder)}. Two of them would remove each other's containers. If the other one ` +
      "is gone for good, or this one was moved or restored in its place, stop it and run: berth claim --yes",
    { details: { field: "instance", value: holder, accepted: other } },
  );
}

export async function findHolder(
  engine: Engine,
  instanceId: string,
  signal: AbortSignal,
): Promise<InstanceHolder | undefined> {
  const claims = await engine.listMarks(formatLabelFilter({ instance: instanceId, kind: "claim" }), signal);
  const claim = claims.find(({ name }) => name === markName(instanceId));
  return claim === undefined ? undefined : holderOf(claim.labels);
}

/** The containers that the instance has on the engine, of plugins and of builds. */
export async function listLeft(
  engine: Engine,
  instanceId: string,
  signal: AbortSignal,
): Promise<readonly { readonly id: string; readonly name: string }[]> {
  return await engine.listContainers(formatLabelFilter({ instance: instanceId }), signal);
}

/**
 * Takes the id from its holder, then removes the containers with it. The mark comes first, so that a holder that still
 * runs notices before it has started many new ones. Images and the network stay; the new holder can use them.
 */
export async function seizeInstance(
  engine: Engine,
  claim: { readonly instanceId: string; readonly holder: InstanceHolder },
  signal: AbortSignal,
): Promise<void> {
  // A holder that runs sets its mark again when it finds none; one of several tries falls between two of its checks.
  for (let triesLeft = 4; ; triesLeft--) {
    await engine.removeMark(markName(claim.instanceId), signal);
    try {
      await claimInstance(engine, claim, signal);
      break;
    } catch (error) {
      if (!isFault(error, "instance_claimed") || triesLeft === 0) throw error;
    }
  }
  for (const { id } of await listLeft(engine, claim.instanceId, signal))
    await engine.removeContainer(id, signal);
}

/** Checks the claim every `everyMs`, and sets the mark again if somebody removed it. */
export function watchClaim(
  { engine, clock, log }: { readonly engine: Engine; readonly clock: Clock; readonly log: Log },
  {
    everyMs,
    onLost,
    ...claim
  }: {
    readonly instanceId: string;
    readonly holder: InstanceHolder;
    readonly everyMs: number;
    /** Called once, with `instance_claimed`: the process must end before it harms the other Berth's containers. */
    readonly onLost: (fault: Fault) => void;
  },
): AsyncDisposable {
  const scope = new Scope();
  const outage = new Outage(log, "instance.claim");
  const look = async () => {
    try {
      await claimInstance(engine, claim, AbortSignal.any([scope.signal, AbortSignal.timeout(LOOK_MS_MAX)]));
    } catch (error) {
      if (scope.signal.aborted) return;
      if (!isFault(error, "instance_claimed")) throw error;
      onLost(error);
    }
  };
  const ask = () => (scope.signal.aborted ? Promise.resolve() : outage.run(look));
  const watching = repeat({ clock, everyMs }, ask, scope.signal);
  scope.add(() => watching);
  return scope;
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

/** Undefined if the labels name nobody. */
function holderOf(labels: Readonly<Record<string, string>>): InstanceHolder | undefined {
  const { dataFolder, database } = parseLabels(labels) ?? {};
  return dataFolder === undefined || database === undefined ? undefined : { dataFolder, database };
}
