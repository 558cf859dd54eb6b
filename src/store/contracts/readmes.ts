/** The READMEs of packages, in the daemon's table: written at the first request for one. */
export interface ReadmeRows {
  /** The READMEs by language; empty where none are stored. */
  find(identifier: string): Promise<ReadonlyMap<string, string>>;
  /** Writes them where there are none; once, however many do so at the same time. Does nothing for an unknown package. */
  put(identifier: string, readmes: ReadonlyMap<string, string>): Promise<void>;
}
