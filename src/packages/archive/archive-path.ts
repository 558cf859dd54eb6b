import { Fault } from "../../domain/fault.ts";

const PATH_BYTES_MAX = 1024;
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * Parses the name of an archive's entry as a path that is safe below any folder on any file system: relative, `/` between
 * its parts, no `.` or `..`, no control character. Throws `package_unsafe`, which names the entry and the rule.
 */
export function parseArchivePath(raw: Uint8Array): string {
  const shown = Buffer.from(raw.subarray(0, 200)).toString("utf8");
  if (raw.length === 0) throw unsafe(shown, "a name");
  if (raw.length > PATH_BYTES_MAX) throw unsafe(shown, `at most ${PATH_BYTES_MAX} bytes`);
  let path: string;
  try {
    path = utf8.decode(raw);
  } catch (cause) {
    throw unsafe(shown, "valid UTF-8", cause);
  }
  const broken = RULES.find(({ pattern }) => pattern.test(path));
  if (broken !== undefined) throw unsafe(path, broken.accepted);
  return path;
}

const RULES: readonly { readonly pattern: RegExp; readonly accepted: string }[] = [
  { pattern: /\p{Cc}/u, accepted: "no NUL or other control character" },
  { pattern: /\\/, accepted: "/ between folders, no backslash" },
  { pattern: /^\//, accepted: "a relative path" },
  { pattern: /^[A-Za-z]:/, accepted: "no drive letter" },
  { pattern: /\/$/, accepted: "files only: pack without folder entries (zip -D, or berth pack)" },
  { pattern: /(^|\/)(\.\.?|)(\/|$)/, accepted: "no empty, . or .. part" },
];

/**
 * Throws `package_unsafe` for names that are the same file on a file system that folds case or Unicode forms, and for a
 * file that is also a folder of another.
 */
export function checkPathsDistinct(paths: readonly string[]): void {
  const seen = new Map<string, string>();
  for (const path of paths) {
    const folded = fold(path);
    const other = seen.get(folded);
    if (other === path) throw unsafe(path, "each name once");
    if (other !== undefined)
      throw unsafe(path, `names that differ in more than case from ${JSON.stringify(other)}`);
    seen.set(folded, path);
  }
  for (const path of paths) {
    const folded = fold(path);
    for (let slash = folded.indexOf("/"); slash >= 0; slash = folded.indexOf("/", slash + 1)) {
      const file = seen.get(folded.slice(0, slash));
      if (file !== undefined) throw unsafe(path, `folders that are not files too: ${JSON.stringify(file)}`);
    }
  }
}

function fold(path: string): string {
  return path.normalize("NFKC").toLowerCase().normalize("NFKC");
}

export function unsafe(path: string, accepted: string, cause?: unknown): Fault {
  return new Fault(
    "package_unsafe",
    `The archive's entry ${JSON.stringify(path)} is refused; accepted: ${accepted}.`,
    {
      details: { field: "entry", value: path, accepted },
      ...(cause === undefined ? {} : { cause }),
    },
  );
}
