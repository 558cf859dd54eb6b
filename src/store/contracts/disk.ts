/** The part of the store contract for disk reports and collections. */
import type { Actor } from "../../domain/audit.ts";
import type { DiskCollection, DiskReport } from "../../domain/disk.ts";
import type { FaultJson } from "../../domain/fault.ts";

export type DiskRunKind = "report" | "dry_run" | "collect";

/** One requested report or collection. */
export interface DiskRun {
  readonly id: string;
  readonly kind: DiskRunKind;
  readonly createdAt: Date;
  /** Undefined while it is not finished. */
  readonly finishedAt: Date | undefined;
  readonly report: DiskReport | undefined;
  readonly collection: DiskCollection | undefined;
  /** Why it failed. */
  readonly cause: FaultJson | undefined;
}

export type DiskAnswer =
  | { readonly report: DiskReport }
  | { readonly collection: DiskCollection }
  | { readonly cause: FaultJson };

export interface DiskRunRows {
  /** Requests a run. Unanswered reports, and unanswered dry runs, share one answer. A collection is audited. */
  ask(kind: DiskRunKind, by?: Actor): Promise<DiskRun>;
  find(id: string): Promise<DiskRun | undefined>;
  /** Unfinished runs, oldest first. */
  listAsked(): Promise<readonly DiskRun[]>;
  /** Writes the answer, and removes all but the newest `keep` finished runs. Throws `lease_lost` where there is an answer. */
  finish(id: string, answer: DiskAnswer, keep: number): Promise<void>;
  /** Writes a finished collection of Berth's own, and audits it. */
  record(collection: DiskCollection, keep: number): Promise<void>;
}

export interface ImageUse {
  readonly key: string;
  readonly layer: "dependencies" | "package";
  readonly state: "building" | "ready" | "failed" | "deleting";
  readonly imageRef: string | undefined;
  /** Key of the dependency layer below a package's image, where it is known. */
  readonly baseKey: string | undefined;
  /** Number of uses; grows with each. */
  readonly uses: number;
  readonly lastUsedAt: Date;
  /** Someone is building or removing it now. */
  readonly isLeased: boolean;
  /** Pools, installations and tasks that need it; for a dependency layer, builds on it. */
  readonly heldBy: readonly string[];
}

export interface ImageDisk {
  list(): Promise<readonly ImageUse[]>;
  /** Records these images as used now: unneeded ones are removed in the order of their last use. */
  noteNeeded(keys: readonly string[]): Promise<void>;
  /**
   * Sets `ready -> deleting`, in one statement, only while nothing needs the image and its number of uses is unchanged.
   * Answers the attempt that fences the removal; undefined where something needs or holds the image. A claim meanwhile
   * waits, and builds it again. An image whose removal was interrupted is taken whatever needs it by now.
   */
  take(
    image: { readonly key: string; readonly uses: number },
    holder: string,
    leaseMs: number,
  ): Promise<number | undefined>;
  /** Sets it back to `ready`, where the engine refused the removal. */
  keep(key: string, attempt: number): Promise<void>;
  /** Removes the row of an image that is gone. */
  drop(key: string, attempt: number): Promise<void>;
}

export interface PackageUse {
  readonly identifier: string;
  readonly createdAt: Date;
  /** Installations, rollbacks, bundles, pools, upgrades that are due and tasks that need it, each once. */
  readonly heldBy: readonly string[];
  /** Tenants that uploaded it; `operator` where one did. */
  readonly keptFor: readonly string[];
}

export interface PackageDisk {
  list(): Promise<readonly PackageUse[]>;
  /** Identifiers in rows of an earlier daemon that no row of Berth has. */
  unadopted(): Promise<readonly string[]>;
  /** Identifiers that some tenant has installed, in no order, without those of other kinds of runtime. */
  installed(): Promise<readonly string[]>;
  /**
   * Removes the row with its dependents, only while nothing needs the package, and neither a tenant nor the operator has
   * uploaded it or its upload is older than `uploadDays` (0: uploads stay). Waits for an install that is being accepted.
   * Answers whether it removed the row.
   */
  take(identifier: string, options: { readonly uploadDays: number }): Promise<boolean>;
}

export interface TaskLogUse {
  readonly taskId: string;
  readonly kind: string;
  readonly identifier: string | undefined;
  /** Undefined while it runs. */
  readonly finishedAt: Date | undefined;
  /** Bytes of all its events, and of those that a build printed. */
  readonly bytes: number;
  readonly logBytes: number;
  /** Older than `days`, and needed by nothing. */
  readonly isOld: boolean;
}

export interface TaskDisk {
  /** False also where there is no such task. */
  isUnfinished(taskId: string): Promise<boolean>;
  /** Tasks that ended more than `days` ago are old; 0: none are. */
  list(days: number): Promise<readonly TaskLogUse[]>;
  /** Removes the build output of a finished task; steps, warnings and its end stay. */
  takeLog(taskId: string): Promise<boolean>;
  /** Removes a finished task that nothing needs, with all its events. */
  take(taskId: string): Promise<boolean>;
}

export interface RuntimeDisk {
  /** Removed pools that still have a history of runtimes, of which the last ended more than `olderThanMs` ago. */
  listOfGonePools(
    olderThanMs: number,
  ): Promise<readonly { readonly poolKey: string; readonly rows: number }[]>;
  takeOfGonePool(poolKey: string): Promise<boolean>;
}

export interface DiskRows {
  readonly runs: DiskRunRows;
  readonly images: ImageDisk;
  readonly packages: PackageDisk;
  readonly tasks: TaskDisk;
  readonly runtimes: RuntimeDisk;
}
