/** What looking after the disk needs of the Store; part of the Store contract. */
import type { Actor } from "../../domain/audit.ts";
import type { DiskCollection, DiskReport } from "../../domain/disk.ts";
import type { FaultJson } from "../../domain/fault.ts";

export type DiskRunKind = "report" | "dry_run" | "collect";

/** What was asked of the worker that looks after the disk. */
export interface DiskRun {
  readonly id: string;
  readonly kind: DiskRunKind;
  readonly createdAt: Date;
  /** Undefined: it is not done. */
  readonly finishedAt: Date | undefined;
  readonly report: DiskReport | undefined;
  readonly collection: DiskCollection | undefined;
  /** Why it could not be done. */
  readonly cause: FaultJson | undefined;
}

export type DiskAnswer =
  | { readonly report: DiskReport }
  | { readonly collection: DiskCollection }
  | { readonly cause: FaultJson };

export interface DiskRunRows {
  /** Of a report or a dry run that nobody has begun to answer there is one at a time; a collection is audited. */
  ask(kind: DiskRunKind, by?: Actor): Promise<DiskRun>;
  find(id: string): Promise<DiskRun | undefined>;
  /** Not done, oldest first. */
  listAsked(): Promise<readonly DiskRun[]>;
  /** Writes the answer unless there is one; the newest `keep` finished runs stay. */
  finish(id: string, answer: DiskAnswer, keep: number): Promise<void>;
  /** A collection that nobody asked for: audited, and finished. */
  record(collection: DiskCollection, keep: number): Promise<void>;
}

export interface ImageUse {
  readonly key: string;
  readonly layer: "dependencies" | "package";
  readonly state: "building" | "ready" | "failed" | "deleting";
  readonly imageRef: string | undefined;
  /** The dependency layer below a Package's image, where it is known. */
  readonly baseKey: string | undefined;
  /** Grows with each use. */
  readonly uses: number;
  readonly lastUsedAt: Date;
  /** Somebody builds or removes it right now. */
  readonly isLeased: boolean;
  /** Pools, Installations and tasks that need it; for a dependency layer, builds on it. */
  readonly heldBy: readonly string[];
}

export interface ImageDisk {
  list(): Promise<readonly ImageUse[]>;
  /** Notes that these are needed now: what is not needed any more is removed in the order of its last use. */
  noteNeeded(keys: readonly string[]): Promise<void>;
  /**
   * `ready -> deleting`, in one statement, only while nothing needs it and its uses are the number that was seen.
   * Answers the attempt that fences what follows; undefined where somebody needs or holds it. Whoever wants the image
   * meanwhile waits, and builds it anew. One whose removal was broken off is taken whatever has come to need it.
   */
  take(
    image: { readonly key: string; readonly uses: number },
    holder: string,
    leaseMs: number,
  ): Promise<number | undefined>;
  /** Back to `ready`: the Engine would not let it go. */
  keep(key: string, attempt: number): Promise<void>;
  /** The image is gone, and its row with it. */
  drop(key: string, attempt: number): Promise<void>;
}

export interface PackageUse {
  readonly identifier: string;
  readonly createdAt: Date;
  /** Installations, rollbacks, Pools and tasks that need it. */
  readonly heldBy: readonly string[];
  /** Tenants that uploaded it; `operator` where one did. */
  readonly keptFor: readonly string[];
}

export interface PackageDisk {
  list(): Promise<readonly PackageUse[]>;
  /** Identifiers of what rows of an earlier daemon name, and no row of Berth. */
  unadopted(): Promise<readonly string[]>;
  /** Identifiers of what some Tenant has, in no order; without what runs elsewhere than here. */
  installed(): Promise<readonly string[]>;
  /**
   * Removes the row with all that hangs on it, only while nothing needs the Package and it is nobody's, or an upload
   * older than `uploadDays` (0: however old). An install that is being accepted is waited for. Answers whether it went.
   */
  take(identifier: string, options: { readonly uploadDays: number }): Promise<boolean>;
}

export interface TaskLogUse {
  readonly taskId: string;
  readonly kind: string;
  readonly identifier: string | undefined;
  /** Undefined: it runs. */
  readonly finishedAt: Date | undefined;
  /** Of all its events, and of those that a build printed. */
  readonly bytes: number;
  readonly logBytes: number;
  /** Kept for longer than was asked for, and needed by nobody. */
  readonly isOld: boolean;
}

export interface TaskDisk {
  /** False for what is no task at all. */
  isUnfinished(taskId: string): Promise<boolean>;
  /** Tasks that ended more than `days` ago are old; 0: none is. */
  list(days: number): Promise<readonly TaskLogUse[]>;
  /** Removes what a finished task's build printed; steps, warnings and its end stay. */
  takeLog(taskId: string): Promise<boolean>;
  /** Removes a finished task that is needed by nobody, with all its events. */
  take(taskId: string): Promise<boolean>;
}

export interface RuntimeDisk {
  /** Pools that are gone and still have a history of ended Runtimes, the newest end older than `olderThanMs`. */
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
