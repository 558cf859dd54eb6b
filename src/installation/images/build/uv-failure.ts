/**
 * What went wrong, told from the installer's exit code first (1: it decided that it cannot be done; 2: something on
 * the way failed; 90 and more: the script's own) and, where one code has several meanings, from fixed phrases of the
 * version of `uv` that is part of the runtime image, and so of every image's key. The first row that fits decides.
 * `test/e2e/explained.test.ts` and `test/integration/` have the real `uv` say them.
 */
import { Fault, type FaultCode, type FaultDetails } from "../../../domain/fault.ts";
import { refuseAddresses } from "./requirements.ts";
import type { BuildLimits } from "./settings.ts";
import { EXIT_ADDRESS, EXIT_DISK, EXIT_FILE_SIZE, EXIT_UNREADABLE } from "./uv-script.ts";

export interface UvEnd {
  readonly exitCode: number;
  /** The last of what it printed on stderr, without secrets. */
  readonly output: string;
}

interface Meaning {
  readonly phrase: RegExp;
  readonly code: FaultCode;
  /** Without it, `message` tells all there is to tell. */
  readonly accepted?: string;
  readonly message: (requirement: string) => string;
}

/** Throws away nothing: the last lines of the output ride along in `details.output`. Never `undefined`. */
export function uvFailure(end: UvEnd, { diskBytes }: Pick<BuildLimits, "diskBytes">): Fault {
  const { exitCode, output } = end;
  const details: FaultDetails = { exitCode, output: output.trim().slice(-2000) };
  if (exitCode === EXIT_DISK || exitCode === EXIT_FILE_SIZE) return buildDiskFull(diskBytes, details);
  if (exitCode === EXIT_ADDRESS) return addressFault(output, details);
  if (exitCode === EXIT_UNREADABLE) {
    const message = "pyproject.toml and uv.lock of the package cannot be read together.";
    return new Fault("build_failed", message, { details });
  }
  const text = output.replace(/\s+/g, " ");
  const found = MEANINGS.find(({ phrase }) => phrase.test(text));
  if (found !== undefined) return meant(found, text, details);
  // Whatever it is called: it gave up on the way to the index.
  if (exitCode === 2 && /error: (?:Failed to fetch|error sending request)/.test(text)) {
    return new Fault("index_unreachable", UNREACHABLE_MESSAGE, { details });
  }
  const message = `The dependencies could not be installed (exit code ${exitCode}).`;
  return new Fault("build_failed", message, { details });
}

function buildDiskFull(diskBytes: number, details: FaultDetails = {}): Fault {
  const limit = `${Math.round(diskBytes / 1_048_576)} MiB`;
  return new Fault("build_disk_full", `The build filled more disk than builds are given: ${limit}.`, {
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
    message: (name) => `The file of ${name} is not the one that was locked: its hash differs.`,
  },
  {
    phrase:
      /Wheels are required for `|no usable wheels|building from source is disabled|Building source distributions .* is disabled/,
    code: "source_build_refused",
    accepted: "a requirement with a fitting wheel",
    message: (name) => `${name} has no wheel that fits; builds from source are not allowed.`,
  },
  {
    phrase:
      /current Python version \([^)]*\) does not satisfy| requires Python [<>=!~]|no wheels with a matching Python/,
    code: "python_not_available",
    accepted: "a requirement for the Python of a runtime image",
    message: (name) => `${name} needs another Python than the one that the package runs on.`,
  },
  {
    // An index that wants another password looks, but for a hint, like one that has no such package.
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
    phrase:
      /No solution found when resolving dependencies|was not found in the package registry|404 Not Found|there is no version of|not a valid|Couldn't parse requirement|[Ff]ailed to parse/,
    code: "dependency_unresolvable",
    accepted: "a requirement that the index can meet",
    message: (name) => `The index has nothing that fits the requirement ${name}.`,
  },
];

function meant({ code, accepted, message }: Meaning, text: string, details: FaultDetails): Fault {
  if (accepted === undefined) return new Fault(code, message(""), { details });
  const value = requirementIn(text);
  return new Fault(code, message(value), {
    details: { ...details, field: "dependencies", value, accepted },
  });
}

/** The requirement that the installer's sentence is about; it says so in a handful of ways. */
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
  try {
    refuseAddresses(line.replace(/^-e\s+/, "").trim());
  } catch (error) {
    if (error instanceof Fault) return error;
  }
  return new Fault(
    "source_build_refused",
    `The requirement "${line.trim().slice(0, 200)}" names its own address.`,
    {
      details: { ...details, field: "dependencies", value: line.trim().slice(0, 200) },
    },
  );
}
