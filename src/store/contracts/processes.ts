export interface ProcessRecord {
  readonly id: string;
  readonly role: "serve" | "api" | "worker";
  readonly host: string;
  readonly pid: number;
  readonly startedAt: Date;
}

export interface ProcessRows {
  /** Says that the process lives, and will for `aliveMs` by the database's clock; repeated, it extends that. */
  announce(process: Omit<ProcessRecord, "startedAt">, aliveMs: number): Promise<void>;
  listLive(): Promise<readonly ProcessRecord[]>;
  leave(id: string): Promise<void>;
}
