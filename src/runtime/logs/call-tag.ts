/**
 * The tag that the runner puts before a line which the plugin wrote during calls: their request ids. It stays part of
 * the text in the engine's log and in the log files, so that lines of all releases have one format.
 */

const BEGIN = "\u001e[";
const IDS = /^[\w.:,-]*$/;

/** The request ids of a line of the container's log, and its text as the plugin wrote it. A line without a tag has none. */
export function parseCallTag(line: string): {
  readonly requestIds: readonly string[];
  readonly text: string;
} {
  const end = line.startsWith(BEGIN) ? line.indexOf("] ") : -1;
  const ids = line.slice(BEGIN.length, Math.max(end, BEGIN.length));
  if (end < 0 || !IDS.test(ids)) return { requestIds: [], text: line };
  return { requestIds: ids === "" ? [] : ids.split(","), text: line.slice(end + 2) };
}
