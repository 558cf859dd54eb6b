/** The disk area of package archives, in the folder or the bucket, with their rows. */
import type { PackageStore, StoredArchive } from "../../packages/package-store.ts";
import type { PackageUse } from "../../store/contracts/disk.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { ARCHIVE_LEASE, tryWithArchive } from "../packages/archive-lease.ts";
import type { Area, AreaSettings, Found } from "./area.ts";

export interface PackageAreaDeps {
  readonly store: Pick<Store, "disk" | "packages" | "leases">;
  readonly packages: PackageStore;
  readonly clock: Clock;
  readonly settings: AreaSettings & {
    readonly budgetBytes: number;
    /** Days after which an upload that nobody has installed is removed; 0: never. */
    readonly uploadDays: number;
  };
}

export function createPackageArea(deps: PackageAreaDeps): Area {
  const { settings } = deps;
  return {
    kind: "packages",
    budgetBytes: settings.budgetBytes,
    isEmptiedWhenAsked: true,
    survey: (signal) => survey(deps, signal),
    take: async ({ key }, signal) => {
      const taken = await tryWithArchive({ ...deps, ...ARCHIVE_LEASE }, key, () => take(deps, key), signal);
      return taken === undefined ? "it is being uploaded" : taken.result;
    },
  };
}

async function survey(deps: PackageAreaDeps, signal: AbortSignal): Promise<readonly Found[]> {
  const { store, packages } = deps;
  // The archives first: one that has no row after that was stored without a row.
  const archives = new Map<string, StoredArchive>();
  for await (const archive of packages.list(signal)) archives.set(archive.identifier, archive);
  const rows = await store.disk.packages.list();
  const known = new Set(rows.map(({ identifier }) => identifier));
  const unadopted = new Set(await store.disk.packages.unadopted());
  return [
    ...rows.map((row) => ofRow(deps, row, archives.get(row.identifier)?.bytes ?? 0)),
    ...[...archives.values()]
      .filter(({ identifier }) => !known.has(identifier))
      .map((archive) => withoutRow(deps, archive, unadopted)),
  ];
}

function ofRow({ clock, settings }: PackageAreaDeps, row: PackageUse, bytes: number): Found {
  const { identifier, createdAt, heldBy, keptFor } = row;
  const ageMs = clock.now() - createdAt.getTime();
  const days = settings.uploadDays;
  const isOver = days > 0 && ageMs > days * 86_400_000;
  const isOfNobody = keptFor.length === 0 && ageMs >= settings.graceMs;
  const found = { key: identifier, what: identifier, bytes, usedAt: createdAt };
  if (heldBy.length > 0) return { ...found, heldBy };
  if (isOfNobody) return { ...found, heldBy, garbage: "its uploader was removed" };
  if (isOver) return { ...found, heldBy, garbage: `it is not installed ${days} days after its upload` };
  return { ...found, heldBy: keptFor.length > 0 ? keptFor.map((who) => `upload of ${who}`) : ["its age"] };
}

function withoutRow(
  { clock, settings }: PackageAreaDeps,
  { identifier, bytes, keptAt }: StoredArchive,
  unadopted: ReadonlySet<string>,
): Found {
  const isYoung = clock.now() - keptAt.getTime() < settings.graceMs;
  const found = { key: identifier, what: identifier, bytes, usedAt: keptAt };
  if (unadopted.has(identifier)) return { ...found, heldBy: ["records of an earlier daemon"] };
  return {
    ...found,
    heldBy: isYoung ? ["its age: its upload may still run"] : [],
    garbage: "no record of it is left",
  };
}

/** The row first: a request for the package is answered `package_not_found` from then on. */
async function take(
  { store, packages, settings }: PackageAreaDeps,
  identifier: string,
): Promise<string | undefined> {
  const isKnown = (await store.packages.find(identifier)) !== undefined;
  if (isKnown && !(await store.disk.packages.take(identifier, settings))) return "it is needed again";
  await packages.remove(identifier);
  return undefined;
}
