/** Upgrades that an upload brought: each becomes a task as soon as its Installation is free for one. */
import { isFault, toFault } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import { parsePackageRef } from "../../domain/package-ref.ts";
import { compareVersions } from "../../domain/version.ts";
import { Outage } from "../../observe/outage.ts";
import type { Accepted } from "../../store/contracts/answers.ts";
import type { UpgradeDue } from "../../store/contracts/upgrades.ts";
import { type Clock, repeat } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { assertStillFits } from "../dependencies/still-fits.ts";
import { type AcceptChangeDeps, acceptChange } from "./accept-tasks.ts";

export interface DueUpgrades {
  readonly accepted: readonly Accepted[];
  /** Installations that wait for the end of another change, or for their turn. */
  readonly waiting: number;
}

/** That one request accepts, and shows as waiting, at most; the rest comes in its turn. */
const AT_ONCE = 200;

/** What the upload of the package brought. Never throws: what could not be accepted yet is accepted later. */
export async function takeDueUpgrades(
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
 * Accepts what is due, of one package or of all. What is in the middle of another change stays due, what has that
 * version by now, or a newer one, is forgotten. Answers what was accepted.
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
    // The key that uploaded it may be revoked by now, the package gone: that upgrade is nobody's wish any more.
    await store.upgrades.forget(due);
    return undefined;
  }
}

function isOlder({ identifier }: { readonly identifier: string }, than: string): boolean {
  return compareVersions(parsePackageRef(identifier).version, parsePackageRef(than).version) < 0;
}

/** So long an upgrade belongs to the request that brought it, whose answer names its task. */
const OWN_MS = 5_000;

/** Looks each `everyMs` for what is still due. */
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
  const running = repeat({ clock: deps.clock, everyMs }, work, scope.signal);
  scope.add(() => running);
  return scope;
}
