/**
 * The disk area of this Berth's images on the engine: images of packages and the dependency layers below them, with their
 * rows. It does not touch runtime images, their variants, or images without our label.
 */
import { isFault } from "../../domain/fault.ts";
import type { Engine, EngineImage } from "../../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../../engine/labels.ts";
import type { Queue } from "../../queue/queue.ts";
import type { ImageUse } from "../../store/contracts/disk.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { imageTopic } from "../task-engine/topics.ts";
import type { Area, AreaSettings, Found } from "./area.ts";

export interface ImageAreaDeps {
  readonly store: Pick<Store, "disk" | "instanceId">;
  readonly engine: Pick<Engine, "listImages" | "findImage" | "removeImage">;
  readonly queue: Pick<Queue, "publish">;
  readonly clock: Clock;
  /** Names the process that removes an image, as the holder of its lease. */
  readonly holder: string;
  readonly settings: AreaSettings & {
    readonly budgetBytes: number;
    /** An image that was used within this time stays: the row of what uses it may not be written yet. */
    readonly idleMsMin: number;
    /** Lease of a removal; longer than one call of the engine may take. */
    readonly removalLeaseMs: number;
  };
}

interface ImageFound extends Found {
  readonly row?: ImageUse;
  readonly image?: EngineImage | undefined;
}

export function createImageArea(deps: ImageAreaDeps): Area {
  let surveyed = new Map<string, ImageFound>();
  return {
    kind: "images",
    budgetBytes: deps.settings.budgetBytes,
    isEmptiedWhenAsked: true,
    survey: async (signal) => {
      const found = await survey(deps, signal);
      surveyed = new Map(found.map((one) => [one.key, one]));
      return found;
    },
    noteNeeded: (found) =>
      deps.store.disk.images.noteNeeded(
        found.filter(({ heldBy }) => heldBy.length > 0).map(({ key }) => key),
      ),
    take: async ({ key }, signal) => {
      const found = surveyed.get(key);
      if (found === undefined) return "it no longer exists";
      if (found.row === undefined) return await removeFromEngine(deps, found.image, signal);
      return await takeRow(deps, found.row, signal);
    },
  };
}

async function survey(deps: ImageAreaDeps, signal: AbortSignal): Promise<readonly ImageFound[]> {
  const { engine, store } = deps;
  const ours = formatLabelFilter({ instance: store.instanceId, kind: "image" });
  // The engine first: an image that has no row after that is a stray, whatever happened in between.
  const listed = await engine.listImages(ours, signal);
  const runtimes = [
    ...(await engine.listImages({ "berth.kind": "runtime-image" }, signal)),
    ...(await engine.listImages({ "berth.kind": "runtime-variant" }, signal)),
  ];
  const rows = await store.disk.images.list();
  const references = [...listed, ...runtimes].map(({ id }) => id);
  for (const { imageRef } of rows) if (imageRef !== undefined) references.push(imageRef);
  const images = new Map<string, EngineImage>();
  await Promise.all(
    references.map(async (reference) => {
      const image = await engine.findImage(reference, signal);
      if (image !== undefined) images.set(reference, image);
    }),
  );
  const all = [...new Map([...images.values()].map((image) => [image.id, image])).values()];
  const byRow = new Map(
    rows.map((row) => [row.key, row.imageRef === undefined ? undefined : images.get(row.imageRef)]),
  );
  const known = new Set([...byRow.values()].map((image) => image?.id));
  const foundRows = rows.map((row) => ofRow(deps, { row, rows, byRow, all }));
  const strays = listed.flatMap(({ id }) => {
    const image = images.get(id);
    return image === undefined || known.has(id) ? [] : [stray(deps, { image, rows, all })];
  });
  return [...foundRows, ...strays];
}

interface RowSeen {
  readonly row: ImageUse;
  readonly rows: readonly ImageUse[];
  readonly byRow: ReadonlyMap<string, EngineImage | undefined>;
  readonly all: readonly EngineImage[];
}

function ofRow(deps: ImageAreaDeps, { row, rows, byRow, all }: RowSeen): ImageFound {
  const image = byRow.get(row.key);
  const above = rows.filter((other) => {
    if (other.key === row.key || other.state === "failed") return false;
    const upper = byRow.get(other.key);
    return other.baseKey === row.key || (image !== undefined && upper !== undefined && isBelow(image, upper));
  });
  const isInterrupted = row.state === "deleting" && !row.isLeased;
  const held = isInterrupted ? [] : [...row.heldBy];
  const isFresh = deps.clock.now() - row.lastUsedAt.getTime() < deps.settings.idleMsMin;
  if (isFresh && held.length === 0 && row.state === "ready") held.push("its recent use");
  return {
    key: row.key,
    what: row.imageRef ?? `image ${row.key.slice(0, 16)}`,
    bytes: image === undefined ? 0 : ownBytes(image, all),
    usedAt: row.lastUsedAt,
    heldBy: row.isLeased ? [...held, row.state === "deleting" ? "its removal" : "its build"] : held,
    garbage: garbage(deps, row, image),
    above: above.map(({ key }) => key),
    row,
    image,
  };
}

function garbage(
  { clock, settings }: ImageAreaDeps,
  { state, lastUsedAt }: ImageUse,
  image: EngineImage | undefined,
): string | undefined {
  if (state === "deleting") return "its removal was interrupted";
  if (clock.now() - lastUsedAt.getTime() < settings.graceMs) return undefined;
  if (state === "failed") return "its build failed";
  if (state === "building") return "its build was interrupted";
  return image === undefined ? "the engine no longer has it" : undefined;
}

/** An image with our label and without a row: a killed build left it. */
function stray(
  { clock, settings }: ImageAreaDeps,
  { image, rows, all }: { image: EngineImage; rows: readonly ImageUse[]; all: readonly EngineImage[] },
): ImageFound {
  const imageKey = parseLabels(image.labels)?.imageKey;
  const isBeingBuilt = rows.some(({ key, isLeased }) => key === imageKey && isLeased);
  const isYoung = clock.now() - image.createdAt.getTime() < settings.graceMs;
  return {
    key: image.id,
    what: image.tags[0] ?? `untagged image ${image.id}`,
    bytes: ownBytes(image, all),
    usedAt: image.createdAt,
    heldBy: isBeingBuilt ? ["its build"] : isYoung ? ["its age: it may just have been built"] : [],
    garbage: "no record of it is left",
    image,
  };
}

/** The bytes that its removal frees: all but the layers of the largest image below it. */
function ownBytes(image: EngineImage, all: readonly EngineImage[]): number {
  const below = all.filter((other) => isBelow(other, image)).map(({ bytes }) => bytes);
  return Math.max(0, image.bytes - Math.max(0, ...below));
}

function isBelow(lower: EngineImage, upper: EngineImage): boolean {
  const [short, long] = [lower.layers ?? [], upper.layers ?? []];
  return short.length > 0 && short.length < long.length && short.every((layer, n) => layer === long[n]);
}

async function takeRow(deps: ImageAreaDeps, row: ImageUse, signal: AbortSignal): Promise<string | undefined> {
  const { store, engine, queue, holder, settings } = deps;
  const { key, imageRef } = row;
  const attempt = await store.disk.images.take(row, holder, settings.removalLeaseMs);
  if (attempt === undefined) return "it is needed again";
  try {
    const image = imageRef === undefined ? undefined : await engine.findImage(imageRef, signal);
    const why = await removeFromEngine(deps, image, signal);
    if (why !== undefined) {
      await store.disk.images.keep(key, attempt);
      return why;
    }
    await store.disk.images.drop(key, attempt);
    return undefined;
  } finally {
    await queue.publish(imageTopic(key), "removed").catch(() => undefined);
  }
}

/** Removes by id: its reference may name another image by now. */
async function removeFromEngine(
  { engine }: ImageAreaDeps,
  image: EngineImage | undefined,
  signal: AbortSignal,
): Promise<string | undefined> {
  if (image === undefined) return undefined;
  try {
    await engine.removeImage(image.id, signal);
    return undefined;
  } catch (error) {
    if (!isFault(error, "conflict")) throw error;
    return `the engine reports it in use: ${error.message}`;
  }
}
