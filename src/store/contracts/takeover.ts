import type { FaultJson } from "../../domain/fault.ts";
import type { InstallationId, TaskId, TenantId } from "../../domain/ids.ts";
import type { Limits, LimitsAsked } from "../../domain/limits.ts";
import type { Package } from "../../domain/package.ts";

/** What a look at the daemon's rows has found and done. */
export interface Adopted {
  /** Installations that are Berth's from now on. */
  readonly installations: number;
  /** Rows of `plugins` whose count of installations was wrong or that were missing. */
  readonly countsMended: number;
  /** Installations whose count of endpoints was wrong. */
  readonly endpointCountsMended: number;
}

/** Rows of the daemon that stay as they are. */
export interface LeftAlone {
  /** By what runs them: `remote`, `serverless`. */
  readonly runtimes: Readonly<Record<string, number>>;
  /** Installations without a tenant, a plugin id or an identifier. */
  readonly incomplete: number;
  /** Identifiers that somebody has installed and that no declaration stands for. */
  readonly withoutDeclaration: number;
}

export interface TakeoverProgress {
  /** All that were taken over and are still there. */
  readonly total: number;
  /** Their package has not been looked at yet. */
  readonly unread: number;
  readonly waiting: number;
  readonly building: number;
  readonly ready: number;
  readonly failed: number;
}

/** Where one of those that are not ready yet stands: from 1. */
export interface TakeoverPlace {
  readonly place: number;
  readonly of: number;
}

/**
 * Installations that were there before Berth. One is taken over once, whoever starts: its row is made where there is none,
 * together with the task that makes it ready, in one transaction. Such a task is nobody's to claim until it is handed out.
 */
export interface TakeoverRows {
  /**
   * Takes over up to `limit` rows after `after`, by id. `last` is undefined where there were none left. Counters of what
   * is taken over are mended; nothing else of the daemon's rows changes. Limits are those until the package was read.
   */
  adopt(page: {
    readonly after: string | undefined;
    readonly limit: number;
    readonly limits: Limits;
  }): Promise<Adopted & { readonly last: string | undefined }>;
  leftAlone(): Promise<LeftAlone>;
  /** Ends as failed up to `limit` of the daemon's install tasks that a stopped daemon left running; answers how many. */
  endDaemonTasks(limit: number): Promise<number>;
  /** Identifiers of packages to be read, in order of need. */
  unread(limit: number): Promise<readonly string[]>;
  /** Identifiers after `after` that have a declaration and no package, by the alphabet. */
  declared(after: string, limit: number): Promise<readonly string[]>;
  /**
   * Writes the package unless it is there, and gives the Installations that were taken over with it what it asks. The
   * daemon's declaration stays; where there was none, it is written.
   */
  keepPackage(
    pkg: Package,
    granted: {
      readonly limitsAsked: LimitsAsked;
      readonly limits: Limits;
      readonly warnings: readonly string[];
    },
  ): Promise<void>;
  /** Ends as failed what was taken over with a package that cannot be read; answers how many. */
  fail(identifier: string, cause: FaultJson): Promise<number>;
  /** Failed ones whose package has come since. */
  arrived(limit: number): Promise<
    readonly {
      readonly installationId: InstallationId;
      readonly tenantId: TenantId;
      readonly identifier: string;
    }[]
  >;
  /**
   * Lets go the tasks that are next: so many that at most `neededMax` of those that somebody waits for, and
   * `othersMax` of the others, are at work.
   */
  handOut(bounds: {
    readonly neededMax: number;
    readonly othersMax: number;
  }): Promise<readonly { readonly id: TaskId; readonly attempt: number }[]>;
  /** Moves it to the front; undefined where it is none of those that are not ready yet. */
  raise(id: InstallationId): Promise<TakeoverPlace | undefined>;
  progress(): Promise<TakeoverProgress>;
}
