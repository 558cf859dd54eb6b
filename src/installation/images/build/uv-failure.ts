/**
 * Finds the cause of a failed install: by the installer's exit code first (1: the requirements cannot be met; 2:
 * something on the way failed; 90 and more: the script's own), then, where one code has several meanings, by fixed
 * phrases of the version of `uv` that is part of the runtime image, and so of every image's key. The first row that fits
 * decides. `test/e2e/explained.test.ts` and `test/integration/` produce them with the real `uv`.
 */
import { Fault, type FaultCode, type FaultDetails } from "../../../domain/fault.ts";
import { refuseAddresses } from "./requirements.ts";
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
  readonly message: (requirement: string) => string;
}

/** The Fault of a failed install; `details.output` has the end of the output. */
export function uvFailure(end: UvEnd, { diskBytes }: Pick<BuildLimits, "diskBytes">): Fault {
  const { exitCode, output } = end;
  const details: FaultDetails = { exitCode, output: output.trim().slice(-2000) };
  if (exitCode === EXIT_DISK || exitCode === EXIT_FILE_SIZE) return buildDiskFull(diskBytes, details);
  if (exitCode === EXIT_ADDRESS) return addressFault(output, details);
  if (exitCode === EXIT_UNREADABLE) {
    const message =
      "The package's pyproject.toml and uv.lock do not fit together, or one of them is malformed.";
    return new Fault("build_failed", message, { details });
  }
  const text = output.replace(/\s+/g, " ");
  const found = MEANINGS.find(({ phrase }) => phrase.test(text));
  if (found !== undefined) return meant(found, text, details);
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
