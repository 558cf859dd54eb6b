/** The READMEs of packages, in the daemon's table: made when somebody first asks for one. */
export interface ReadmeRows {
  /** By language; empty where none have been kept. */
  find(identifier: string): Promise<ReadonlyMap<string, string>>;
  /** Keeps them unless some are there; once, however many ask at the same time. Nothing for a package that is not here. */
  put(identifier: string, readmes: ReadonlyMap<string, string>): Promise<void>;
}
