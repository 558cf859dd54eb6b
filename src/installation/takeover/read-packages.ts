/**
 * Makes packages of the archives that dify-plugin-daemon kept: reads and checks them like uploads, one after the other,
 * those first that calls wait for. So a missing or damaged one is known within minutes, not when its build is due.
 */
import { BERTH_ITSELF } from "../../domain/audit.ts";
import { Fault, type FaultJson, formatFault, isFault, toFault } from "../../domain/fault.ts";
import { grantLimits, type LimitsPolicy } from "../../domain/limits.ts";
import type { Package } from "../../domain/package.ts";
import { platformWarnings } from "../../domain/platform-version.ts";
import { INSTALLATIONS_TOPIC } from "../../invocation/installation-directory.ts";
import type { Log } from "../../observe/log.ts";
import type { PackageReader } from "../../packages/package-reader.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import type { ReadPackage } from "../../packages/read-package.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { ARCHIVE_LEASE, tryWithArchive } from "../packages/archive-lease.ts";
import type { Trust } from "../trust/trust.ts";

export interface ReadPackagesDeps {
  readonly store: Pick<Store, "takeover" | "packages" | "leases" | "trust">;
  readonly packages: Pick<PackageStore, "open" | "has">;
  readonly reader: Pick<PackageReader, "read">;
  readonly trust: Pick<Trust, "keepSignature" | "judge" | "settings">;
  readonly queue: Pick<Queue, "publish">;
  readonly clock: Clock;
  readonly log: Log;
  readonly limits: LimitsPolicy;
  /** The platform's version, where the operator has set it. */
  readonly platformVersion?: string | undefined;
}

/**
 * Reads the next packages; answers how many: 0 where none is left, or other workers read the rest. Throws a cause that may
 * pass; the package that it was reading is then still unread.
 */
export async function readPackages(
  deps: ReadPackagesDeps,
  limit: number,
  signal: AbortSignal,
): Promise<number> {
  let done = 0;
  for (const identifier of await deps.store.takeover.unread(limit)) {
    signal.throwIfAborted();
    const settled = await tryWithArchive(
      { ...deps, ...ARCHIVE_LEASE },
      identifier,
      async (held) => {
        await settle(deps, identifier, held);
        return true;
      },
      signal,
    );
    if (settled !== undefined) done += 1;
  }
  return done;
}

/** Reads the packages that the daemon declared and no tenant has installed, and answers how many; skips missing ones. */
export async function readDeclared(
  deps: ReadPackagesDeps,
  limit: number,
  signal: AbortSignal,
): Promise<number> {
  let [after, read] = ["", 0];
  for (;;) {
    const identifiers = await deps.store.takeover.declared(after, limit);
    for (const identifier of identifiers) {
      signal.throwIfAborted();
      if (!(await hasArchive(deps, identifier))) continue;
      const work = (held: AbortSignal) => keep(deps, identifier, held);
      const kept = await tryWithArchive({ ...deps, ...ARCHIVE_LEASE }, identifier, work, signal).catch(
        unreadable,
      );
      if (kept !== undefined) read += 1;
    }
    const last = identifiers.at(-1);
    if (last === undefined) return read;
    after = last;
  }
}

async function hasArchive({ packages }: ReadPackagesDeps, identifier: string): Promise<boolean> {
  return (await packages.has(identifier).catch(unreadable)) ?? false;
}

function unreadable(error: unknown): undefined {
  if (isFault(error) && !error.rule.retry) return undefined;
  throw error;
}

async function settle(deps: ReadPackagesDeps, identifier: string, signal: AbortSignal): Promise<void> {
  try {
    await keep(deps, identifier, signal);
  } catch (error) {
    const fault = toFault(error);
    if (!isFault(error) || fault.rule.retry) throw error;
    await refuse(deps, identifier, causeOf(identifier, fault));
  }
  await deps.queue.publish(INSTALLATIONS_TOPIC, identifier).catch(() => undefined);
}

async function keep(deps: ReadPackagesDeps, identifier: string, signal: AbortSignal): Promise<void> {
  const { store, limits, platformVersion, trust } = deps;
  const known = await store.packages.find(identifier);
  const read = known === undefined ? await readArchive(deps, identifier, signal) : undefined;
  const pkg: Package | undefined = known ?? read;
  if (pkg === undefined) return;
  if (read !== undefined) await admit(deps, read);
  const granted = grantLimits(pkg.limitsAsked, limits);
  const warnings = [...pkg.warnings, ...platformWarnings(pkg.declaration, platformVersion), ...granted.notes];
  await store.takeover.keepPackage(pkg, { limitsAsked: pkg.limitsAsked, limits: granted.limits, warnings });
  if (read !== undefined) await trust.keepSignature(read, undefined);
}

/**
 * The daemon checks signatures at uploads only: a package that it had accepted kept running, also under a stricter policy
 * later. So Berth admits it, and the admissions show the operator which packages these are.
 */
async function admit({ store, trust, log }: ReadPackagesDeps, read: ReadPackage): Promise<void> {
  if (trust.settings.policy !== "require") return;
  const { identifier, checksum } = read;
  const { verdict } = await trust.judge(read);
  if (verdict === "verified") return;
  const note = `dify-plugin-daemon had accepted ${identifier}`;
  const { created } = await store.trust.admit({ checksum, note }, BERTH_ITSELF);
  if (created) log.warn({ op: "takeover.admit", ok: true, identifier, verdict }, note);
}

async function readArchive(
  { packages, reader }: ReadPackagesDeps,
  identifier: string,
  signal: AbortSignal,
): Promise<ReadPackage> {
  await using archive = await packages.open(identifier, signal);
  const read = await reader.read(archive.path, new Date(0), signal);
  if (read.identifier !== identifier)
    throw new Fault("package_damaged", `The archive stored as ${identifier} is that of ${read.identifier}.`);
  return read;
}

async function refuse({ store, log }: ReadPackagesDeps, identifier: string, cause: FaultJson): Promise<void> {
  let installations = 0;
  for (let failed = -1; failed !== 0; installations += failed)
    failed = await store.takeover.fail(identifier, cause);
  const { code, message } = cause;
  log.warn({ op: "takeover.package", ok: false, identifier, installations, code }, message);
}

/** The cause says what to do: only the operator can find the bytes. */
function causeOf(identifier: string, fault: Fault): FaultJson {
  const details = { field: "identifier", value: identifier };
  if (fault.code === "package_not_found")
    return {
      code: "package_not_found",
      message: `dify-plugin-daemon left no archive of ${identifier}: upload the package, and Berth installs it.`,
      details,
    };
  return {
    code: "package_damaged",
    message: `The archive of ${identifier} is damaged: upload the package again, and Berth installs it.`,
    details: { ...details, found: formatFault(fault) },
  };
}
