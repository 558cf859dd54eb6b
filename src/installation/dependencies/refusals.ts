import { Fault } from "../../domain/fault.ts";
import { formatNeed, type PluginNeed } from "../../domain/plugin-need.ts";
import type { Task } from "../../domain/task.ts";

/** A need that no plugin fits. */
export interface Missing {
  readonly need: PluginNeed;
  /** The package or bundle that declares the need. */
  readonly neededBy: string;
  /** Stored versions of the plugin, none of which fits. */
  readonly found: readonly string[];
}

/** A plugin that is installed, or needed by others, in a version that does not fit. */
export interface Conflict {
  readonly need: PluginNeed;
  readonly neededBy: string;
  /** The tenant's version. */
  readonly installed?: string;
  /** The needs of others. */
  readonly others?: readonly string[];
}

/** Names all of them at once, so that one repair is enough. */
export function missing(all: readonly Missing[], conflicts: readonly Conflict[]): Fault {
  const names = all.map(({ need, neededBy }) => `${formatNeed(need)} (for ${neededBy})`).join(", ");
  return new Fault("dependency_missing", `Required plugins are missing: ${names}.`, {
    details: {
      missing: all.map(({ need, neededBy, found }) => ({
        type: need.type,
        value: formatNeed(need),
        needed_by: neededBy,
        found,
        looked_for: LOOKED_FOR[need.type],
      })),
      ...(conflicts.length > 0 && { conflicts: conflicts.map(conflictJson) }),
      accepted: "an upload of each of them, or a dependency that names a release of a source",
    },
  });
}

const LOOKED_FOR = {
  package: "an uploaded package with this identifier",
  checksum: "an uploaded package with this checksum",
  listing: "an uploaded package with this identifier, then the marketplace",
  marketplace: "an installed or uploaded version of the plugin that fits",
  github: "an installed or uploaded version that fits, then the release where version and file are exact",
} as const satisfies Record<PluginNeed["type"], string>;

export function conflicting(all: readonly Conflict[]): Fault {
  const [first] = all;
  if (first === undefined) throw new Error("a conflict of nothing");
  const { need, neededBy, installed, others = [] } = first;
  const why = installed === undefined ? `others need ${others.join(", ")}` : `${installed} is installed`;
  return new Fault("dependency_conflict", `${neededBy} needs ${formatNeed(need)}, but ${why}.`, {
    details: { conflicts: all.map(conflictJson) },
  });
}

function conflictJson({ need, neededBy, installed, others }: Conflict) {
  return {
    type: need.type,
    value: formatNeed(need),
    needed_by: neededBy,
    ...(installed !== undefined && { installed }),
    ...(others !== undefined && { others }),
  };
}

/** `path` holds the ids of the plugins, from one back to itself. */
export function circular(path: readonly string[]): Fault {
  return new Fault("dependency_cycle", `Plugins depend on each other in a cycle: ${path.join(" -> ")}.`, {
    details: { path },
  });
}

export function failed({ id, kind, identifier, state, cause }: Task): Fault {
  const what = identifier ?? `a task of the kind ${kind}`;
  const end = state === "cancelled" ? "was cancelled" : "failed";
  const why = cause === undefined ? "" : `: ${cause.message}`;
  return new Fault("dependency_failed", `The install of ${what} ${end}${why}`, {
    details: { task_id: id, identifier: identifier ?? null, state, ...(cause !== undefined && { cause }) },
  });
}
