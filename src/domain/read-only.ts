/** Tells the author of a plugin where it may write, where an error of Python says that it wrote elsewhere. */

const READ_ONLY = /\[Errno 30\] Read-only file system(?:: '([^']*)')?/;
const SQLITE = /attempt to write a readonly database|unable to open database file/;
const WRITABLE = "a plugin can write in /tmp only, and beside its code if BERTH_WRITABLE_PLUGINS names it.";

/** A sentence for whoever reads the error; undefined where it is about something else. */
export function explainReadOnly(error: string): string | undefined {
  const found = READ_ONLY.exec(error);
  if (found !== null) return `It tried to write${found[1] === undefined ? "" : ` ${found[1]}`}; ${WRITABLE}`;
  return SQLITE.test(error) ? `SQLite needs to write beside its database; ${WRITABLE}` : undefined;
}
