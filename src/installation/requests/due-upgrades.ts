/** Automatic upgrades after an upload: each becomes a task as soon as its installation has no other change. */
import { isFault, toFault } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import { parsePackageRef } from "../../domain/package-ref.ts";
import { compareVersions } from "../../domain/version.ts";
import { Outage } from "../../observe/outage.ts";
import type { Accepted } from "../../store/contracts/answers.ts";
import type { UpgradeDue } from "../../store/contracts/upgrades.ts";
import { type Clock, poll } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { assertStillFits } from "../dependencies/still-fits.ts";
import { type AcceptChangeDeps, acceptChange } from "./accept-tasks.ts";

export interface DueUpgrades {
  readonly accepted: readonly Accepted[];
  /** Installations whose upgrade waits for the end of another change, or for a later batch. */
  readonly waiting: number;
}

/** Upgrades that one upload accepts, and shows as waiting, at most; the rest is accepted later. */
const AT_ONCE = 200;

/** Accepts the upgrades to an uploaded package, and answers those of the tenant. Never throws: the rest is accepted later. */
export async function acceptUploadedUpgrades(
  deps: AcceptChangeDeps,
  { identifier, tenantId }: { readonly identifier: string; readonly tenantId: TenantId | undefined },
): Promise<DueUpgrades> {
  try {
    const accepted = await acceptDueUpgrades(deps, { identifier, limit: AT_ONCE });
    const left = await deps.store.upgrades.listDue({ identifier }, AT_ONCE);
    const waiting = await Promise.all(left.map((due) => deps.store.installations.find(due.installationId)));
    const isTheirs = (found: Installation | undefined) =>
      found !== undefined && (tenantId === undefined || found.tenantId === tenantId);
    return {
      accepted: accepted.filter(({ installation }) => isTheirs(installation)),
      waiting: waiting.filter(isTheirs).length,
    };
  } catch (error) {
    deps.log.warn({ op: "installation.upgrade_due", ok: false, identifier, code: toFault(error).code });
    return { accepted: [], waiting: 0 };
  }
}

/**
 * Accepts the due upgrades to one package, or to all, and answers what was accepted. An installation with another change
 * stays due; one that has that version or a newer one is dropped from the list.
 */
async function acceptDueUpgrades(
  deps: AcceptChangeDeps,
  { limit, ...which }: ({ readonly identifier: string } | { readonly minAgeMs: number }) & { limit: number },
): Promise<readonly Accepted[]> {
  const accepted: Accepted[] = [];
  for (const due of await deps.store.upgrades.listDue(which, limit)) {
    const task = await acceptOne(deps, due);
    if (task !== undefined) accepted.push(task);
  }
  return accepted;
}

async function acceptOne(deps: AcceptChangeDeps, due: UpgradeDue): Promise<Accepted | undefined> {
  const { store, log } = deps;
  const { installationId: id, identifier, by } = due;
  const installation = await store.installations.find(id);
  if (
    installation === undefined ||
    installation.desired === "removed" ||
    !isOlder(installation, identifier)
  ) {
    await store.upgrades.forget(due);
    return undefined;
  }
  try {
    await assertStillFits(store, installation, identifier);
    return await acceptChange(deps, { id, kind: "upgrade", identifier, by });
  } catch (error) {
    const { code } = toFault(error);
    if (isFault(error, "conflict") || isFault(error, "store_unavailable")) return undefined;
    log.warn({ op: "installation.upgrade_due", ok: false, installation_id: id, identifier, code });
    // The key that uploaded the package may be revoked, or the package be gone: the upgrade is not due any more.
    await store.upgrades.forget(due);
    return undefined;
  }
}

function isOlder({ identifier }: { readonly identifier: string }, than: string): boolean {
  return compareVersions(parsePackageRef(identifier).version, parsePackageRef(than).version) < 0;
}

/** Until this age an upgrade belongs to its upload's request, whose answer names its task. */
const OWN_MS = 5_000;

/** Accepts upgrades that are still due, each `everyMs`. */
export function startDueUpgrades(
  deps: AcceptChangeDeps & { readonly clock: Clock },
  { everyMs, batch }: { readonly everyMs: number; readonly batch: number },
): AsyncDisposable {
  const scope = new Scope();
  const outage = new Outage(deps.log, "installation.upgrades_due");
  const work = () =>
    outage.run(async () => {
      await acceptDueUpgrades(deps, { minAgeMs: OWN_MS, limit: batch });
    });
  const running = poll({ clock: deps.clock, everyMs }, work, scope.signal);
  scope.add(() => running);
  return scope;
}
