/**
 * Finds the cause of a failed install: by the installer's exit code first (1: the requirements cannot be met; 2:
 * something on the way failed; 90 and more: the script's own), then, where one code has several meanings, by fixed
 * phrases of the version of `uv` that is part of the runtime image, and so of every image's key. The first row that fits
 * decides. `test/e2e/explained.test.ts` and `test/integration/` produce them with the real `uv`.
 */

import { Fault, type FaultCode, type FaultDetails } from "../../../domain/fault.ts";
import { refuseAddress } from "../requirements/choose-dependencies.ts";
import { formatOrigin, type Origin, placeOf, type Requirement } from "../requirements/dependency-files.ts";
import { normalise } from "../requirements/project-file.ts";
import { SOURCES_REFUSED } from "../sources/source-policy.ts";
import type { BuildLimits } from "./settings.ts";
import { EXIT_ADDRESS, EXIT_DISK, EXIT_FILE_SIZE, EXIT_UNREADABLE } from "./uv-script.ts";

export interface UvEnd {
  readonly exitCode: number;
  /** The end of its stderr, without secrets. */
  readonly output: string;
}

interface Meaning {
  readonly phrase: RegExp;
  readonly code: FaultCode;
  /** What would be accepted, for failures of one requirement. */
  readonly accepted?: string;
  readonly message: (requirement: string, where: Where) => string;
}

/** What the message of a failure can say of the lines that it is about. */
interface Where {
  readonly text: string;
  /** The requirement with the place where it is written, if it is one of the package's own. */
  readonly asked: string;
  readonly locate: (requirement: string) => string;
}

/** The Fault of a failed install; `details.output` has the end of the output, `requirements` the lines it is about. */
export function uvFailure(
  end: UvEnd,
  { diskBytes }: Pick<BuildLimits, "diskBytes">,
  requirements: readonly Requirement[] = [],
): Fault {
  const { exitCode, output } = end;
  const details: FaultDetails = { exitCode, output: output.trim().slice(-2000) };
  if (exitCode === EXIT_DISK || exitCode === EXIT_FILE_SIZE) return buildDiskFull(diskBytes, details);
  if (exitCode === EXIT_ADDRESS) return addressFault(output, details);
  if (exitCode === EXIT_UNREADABLE) {
    const message =
      "The package's pyproject.toml and uv.lock do not fit together, or one of them is malformed.";
    return new Fault("build_failed", message, { details });
  }
  const malformed = malformedLine(output, requirements, details);
  if (malformed !== undefined) return malformed;
  const text = output.replace(/\s+/g, " ");
  const found = MEANINGS.find(({ phrase }) => phrase.test(text));
  if (found !== undefined) return meant(found, { text, requirements }, details);
  // Without a known phrase: it gave up on the way to the index.
  if (exitCode === 2 && /error: (?:Failed to fetch|error sending request)/.test(text)) {
    return new Fault("index_unreachable", UNREACHABLE_MESSAGE, { details });
  }
  const message = `The dependencies could not be installed (exit code ${exitCode}).`;
  return new Fault("build_failed", message, { details });
}

function buildDiskFull(diskBytes: number, details: FaultDetails = {}): Fault {
  const limit = `${Math.round(diskBytes / 1_048_576)} MiB`;
  return new Fault("build_disk_full", `The build exceeded the disk limit of builds: ${limit}.`, {
    details: { ...details, diskBytes },
  });
}

const UNREACHABLE_MESSAGE = "The package index cannot be reached.";

const MEANINGS: readonly Meaning[] = [
  { phrase: /No space left on device/, code: "disk_full", message: () => "The disk is full." },
  {
    phrase: /Hash mismatch for/,
    code: "dependency_hash_mismatch",
    accepted: "a file with the hash that the package or the index names",
    message: (name) => `The hash of the file of ${name} differs from the locked one.`,
  },
  {
    phrase:
      /Wheels are required for `|no usable wheels|building from source is disabled|Building source distributions .* is disabled/,
    code: "source_build_refused",
    accepted: "a requirement with a fitting wheel, or BERTH_SOURCE_BUILDS=allow",
    message: (_name, { asked }) =>
      `${asked} has no wheel that fits: it needs a build from source, which ${SOURCES_REFUSED} forbids.`,
  },
  {
    phrase:
      /current Python version \([^)]*\) does not satisfy| requires Python [<>=!~]|no wheels with a matching Python/,
    code: "python_not_available",
    accepted: "a requirement for the Python of a runtime image",
    message: (name) => `${name} needs another Python than the one that the package runs on.`,
  },
  {
    // Before `dependency_unresolvable`: an index that refuses the password reads like one without the package, but for a hint.
    phrase:
      /HTTP status client error \((?:401|403|407)|lack of valid authentication credentials|[Pp]roxy [Aa]uth(?:entication|orization) [Rr]equired/,
    code: "index_refused",
    message: () => "A package index or the proxy refuses the user and password of the settings.",
  },
  {
    phrase: /invalid peer certificate/,
    code: "index_refused",
    message: () =>
      "The certificate of a package index or proxy is not trusted; BERTH_CA_BUNDLE names further authorities.",
  },
  {
    phrase: /dns error|failed to lookup address information/,
    code: "name_not_resolved",
    message: () => "The name of a package index, or of a host that it sends to, cannot be resolved.",
  },
  {
    phrase:
      /client error \((?:Connect|SendRequest)\)|Connection refused|Connection reset|connection closed before|timed out|HTTP status server error|HTTP status client error \(429|Could not connect/,
    code: "index_unreachable",
    message: () => UNREACHABLE_MESSAGE,
  },
  {
    phrase: /you require \S+ and \S+, (?:which are incompatible|we can conclude)/,
    code: "dependency_unresolvable",
    accepted: "requirements that one version can meet",
    message: (_name, { text, locate }) => {
      const [, one = "", other = ""] = /you require (\S+) and (\S+),/.exec(text) ?? [];
      return `The requirements contradict each other: ${locate(one)} and ${locate(other)}.`;
    },
  },
  {
    phrase: / depends? on (?!.*(?:was not found|there (?:is|are) no versions? of))/,
    code: "dependency_unresolvable",
    accepted: "requirements that one version can meet",
    message: (_name, { text, locate }) => {
      const [, depending = "", needed = ""] =
        / (\S+) depends? on (\S+?)(?:,? and |, we |[. ]|$)/.exec(text) ?? [];
      const words = [...text.matchAll(/(?:you require|and(?! you)) (\S+?)[.,]?(?= |$)/g)].map(
        ([, word = ""]) => word,
      );
      const other = words.find((word) => nameOf(word) === nameOf(needed) && word !== needed);
      const beside = other === undefined ? "" : `, and ${locate(other)} is required`;
      return `The requirements contradict each other: ${locate(depending)} needs ${needed}${beside}.`;
    },
  },
  {
    phrase: /was not found in the package registry/,
    code: "dependency_unresolvable",
    accepted: "the name of a package that the index has",
    message: (_name, { asked }) => `${asked} is required, and the index has no package of that name.`,
  },
  {
    phrase: /there (?:is|are) no versions? of/,
    code: "dependency_unresolvable",
    accepted: "a version that the index has",
    message: (_name, { asked }) => `${asked} is required, and the index has no such version of it.`,
  },
  {
    phrase: /No solution found when resolving dependencies|404 Not Found|not a valid|[Ff]ailed to parse/,
    code: "dependency_unresolvable",
    accepted: "a requirement that the index can meet",
    message: (_name, { asked }) => `The index has nothing that fits the requirement ${asked}.`,
  },
];

function meant(
  { code, accepted, message }: Meaning,
  { text, requirements }: { readonly text: string; readonly requirements: readonly Requirement[] },
  details: FaultDetails,
): Fault {
  const value = requirementIn(text);
  const locate = (requirement: string) => {
    const origin = originOf(requirement, requirements);
    return origin === undefined ? requirement : `${requirement} (${formatOrigin(origin)})`;
  };
  const said = message(value, { text, asked: locate(value), locate });
  if (accepted === undefined) return new Fault(code, said, { details });
  const origin = originOf(value, requirements);
  const place = origin === undefined ? { field: "dependencies" } : placeOf(origin);
  return new Fault(code, said, { details: { ...details, ...place, value, accepted } });
}

/** A requirement without its markers and options. */
function bare(text: string): string {
  return text.replace(/\s*;.*$|\s+--.*$/, "");
}

function nameOf(requirement: string): string {
  return normalise(/^[\w.-]*/.exec(requirement)?.[0] ?? "");
}

/** Where the package asks for it: a line with these very words, else the first of that name. */
function originOf(requirement: string, requirements: readonly Requirement[]): Origin | undefined {
  const found =
    requirements.find(({ text }) => bare(text).replaceAll(" ", "") === requirement) ??
    requirements.find(({ text }) => nameOf(text) === nameOf(requirement));
  return found?.origin;
}

/** A line that is no requirement is the file's fault; the installer shows the line and marks the place with carets. */
function malformedLine(
  output: string,
  requirements: readonly Requirement[],
  details: FaultDetails,
): Fault | undefined {
  const [, reason = "", line = ""] =
    /Couldn't parse requirement in [^\n]*\n\s*cause: ([^\n]*)\n\s*([^\n]*)\n\s*\^/.exec(output) ??
    /error: (Invalid hash[^\n]*)()/.exec(output) ??
    [];
  if (reason === "") return undefined;
  const found = requirements.find(({ text }) =>
    line === "" ? text.includes("--hash") : bare(text) === line || text === line,
  );
  const value = line === "" ? (found?.text ?? "") : line;
  const where = found === undefined ? "" : `${formatOrigin(found.origin)}: `;
  const place = found === undefined ? { field: "dependencies" } : placeOf(found.origin);
  return new Fault("dependency_unresolvable", `${where}"${value}" is not a requirement: ${reason}.`, {
    details: { ...details, ...place, value, accepted: "a requirement such as name==1.0" },
  });
}

/** The requirement that the installer's message is about; there are a few forms of it. */
function requirementIn(text: string): string {
  const found =
    /Hash mismatch for `([^`]+)`/.exec(text) ??
    /you require ([^\s,]+(?:[<>=!~]=?[^\s,]+)?)/.exec(text) ??
    /there (?:is|are) no versions? of ([^\s,]+)/.exec(text) ??
    /Because ([^\s,]+) was not found/.exec(text) ??
    /Wheels are required for `([^`]+)`/.exec(text) ??
    /`([^`]+)`/.exec(text);
  return found?.[1] ?? "(see the output)";
}

function addressFault(output: string, details: FaultDetails): Fault {
  const line = output.split("\n").find((text) => / @ |^-e |^[./]|:\/\//.test(text)) ?? "";
  const text = line.replace(/^-e\s+/, "").trim();
  try {
    refuseAddress({ text, origin: { file: "uv.lock", line: undefined } });
  } catch (error) {
    if (error instanceof Fault) return error;
  }
  const message = `uv.lock: "${text.slice(0, 200)}" is not a wheel of the package.`;
  return new Fault("source_build_refused", message, {
    details: { ...details, field: "uv.lock", value: text.slice(0, 200) },
  });
}
