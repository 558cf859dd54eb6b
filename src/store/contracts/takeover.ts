import type { FaultJson } from "../../domain/fault.ts";
import type { InstallationId, TaskId, TenantId } from "../../domain/ids.ts";
import type { Limits, LimitsAsked } from "../../domain/limits.ts";
import type { Package } from "../../domain/package.ts";

/** What one page of a takeover did. */
export interface Adopted {
  /** Installations that were taken over. */
  readonly installations: number;
  /** Rows of `plugins` that were missing or had a wrong count of installations. */
  readonly countsMended: number;
  /** Installations whose count of endpoints was wrong. */
  readonly endpointCountsMended: number;
}

/** Rows of the daemon that stay as they are. */
export interface LeftAlone {
  /** Counts by kind of runtime: `remote`, `serverless`. */
  readonly runtimes: Readonly<Record<string, number>>;
  /** Installations without a tenant, a plugin id or an identifier. */
  readonly incomplete: number;
  /** Installed identifiers without a declaration. */
  readonly withoutDeclaration: number;
}

export interface TakeoverProgress {
  /** All installations that were taken over and still exist. */
  readonly total: number;
  /** Those whose package has not been read yet. */
  readonly unread: number;
  readonly waiting: number;
  readonly building: number;
  readonly ready: number;
  readonly failed: number;
}

/** The place of one that is not ready yet, from 1. */
export interface TakeoverPlace {
  readonly place: number;
  readonly of: number;
}

/**
 * Installations of dify-plugin-daemon. Each is taken over once, whichever process starts: one transaction writes its row,
 * where there is none, and the task that makes it ready. Such a task cannot be claimed until `releaseTasks` releases it.
 */
export interface TakeoverRows {
  /** False where no row of a daemon is to be taken over and none has been. */
  isDue(): Promise<boolean>;
  /**
   * Takes over one page of rows after `after`, by id. `last` is undefined at the end. Corrects the daemon's counters for
   * these rows and changes nothing else of its rows. `limits` apply until the package is read.
   */
  adopt(page: {
    readonly after: string | undefined;
    readonly limit: number;
    readonly limits: Limits;
  }): Promise<Adopted & { readonly last: string | undefined }>;
  leftAlone(): Promise<LeftAlone>;
  /** Ends as failed up to `limit` install tasks that a stopped daemon left unfinished; answers how many. */
  endDaemonTasks(limit: number): Promise<number>;
  /** Identifiers of packages to read, in order of need. */
  unread(limit: number): Promise<readonly string[]>;
  /** Identifiers after `after` with a declaration and no package, in alphabetical order. */
  declared(after: string, limit: number): Promise<readonly string[]>;
  /**
   * Writes the package where it is missing, and sets limits and warnings of the installations that were taken over with it.
   * The daemon's declaration stays; a missing one is written.
   */
  keepPackage(
    pkg: Package,
    granted: {
      readonly limitsAsked: LimitsAsked;
      readonly limits: Limits;
      readonly warnings: readonly string[];
    },
  ): Promise<void>;
  /** Fails installations that were taken over with a package that cannot be read; answers how many. Repeat until it is 0. */
  fail(identifier: string, cause: FaultJson): Promise<number>;
  /** Failed ones whose package has been uploaded since. */
  arrived(limit: number): Promise<
    readonly {
      readonly installationId: InstallationId;
      readonly tenantId: TenantId;
      readonly identifier: string;
    }[]
  >;
  /**
   * Releases the next tasks, so that at most `neededMax` that calls wait for and `othersMax` others run at once.
   */
  releaseTasks(bounds: {
    readonly neededMax: number;
    readonly othersMax: number;
  }): Promise<readonly { readonly id: TaskId; readonly attempt: number }[]>;
  /** Moves it to the front; undefined where it is ready or was not taken over. */
  raise(id: InstallationId): Promise<TakeoverPlace | undefined>;
  progress(): Promise<TakeoverProgress>;
}
