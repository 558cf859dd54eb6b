/**
 * What went wrong, told from the installer's exit code first (1: it decided that it cannot be done; 2: something on
 * the way failed) and, where one code has several meanings, from fixed phrases of the version of `uv` that is part of
 * the runtime image, and so of every image's key.
 */
import { Fault, type FaultDetails } from "../../domain/fault.ts";
import { refuseAddresses } from "./requirements.ts";
import { EXIT_ADDRESS, EXIT_UNREADABLE } from "./uv-script.ts";

/** Throws away nothing: the last lines of the output ride along in `details.output`. Never `undefined`. */
export function uvFailure(exitCode: number, output: string): Fault {
  const details: FaultDetails = { exitCode, output: output.trim().slice(-2000) };
  if (/No space left on device/.test(output)) {
    return new Fault("build_disk_full", "The disk is full.", { details });
  }
  if (exitCode === EXIT_ADDRESS) return addressFault(output, details);
  if (exitCode === EXIT_UNREADABLE) {
    return new Fault("build_failed", "pyproject.toml and uv.lock of the package cannot be read together.", {
      details,
    });
  }
  const source =
    /Wheels are required for `([^`]+)`|no usable wheels|building from source is disabled|Building source distributions .* is disabled/;
  const refused = source.exec(output);
  if (refused !== null) {
    const name = refused[1] ?? requirementIn(output);
    return new Fault(
      "source_build_refused",
      `${name} has no wheel that fits; builds from source are not allowed.`,
      {
        details: {
          ...details,
          field: "dependencies",
          value: name,
          accepted: "a requirement with a fitting wheel",
        },
      },
    );
  }
  if (NOT_ADMITTED.test(output)) {
    const message = "A package index or the proxy refuses the user and password of the settings.";
    return new Fault("index_unreachable", message, { details });
  }
  if (NOT_TRUSTED.test(output)) {
    const message =
      "The certificate of a package index or proxy is not trusted; BERTH_CA_BUNDLE names further authorities.";
    return new Fault("index_unreachable", message, { details });
  }
  if (UNREACHABLE.test(output)) {
    return new Fault("index_unreachable", "The package index cannot be reached.", { details });
  }
  if (UNRESOLVABLE.test(output)) {
    const name = requirementIn(output);
    return new Fault("dependency_unresolvable", `The index has nothing that fits the requirement ${name}.`, {
      details: {
        ...details,
        field: "dependencies",
        value: name,
        accepted: "a requirement that the index can meet",
      },
    });
  }
  return new Fault("build_failed", `The dependencies could not be installed (exit code ${exitCode}).`, {
    details,
  });
}

/** An index that wants another password looks, but for a hint, like one that has no such package. */
const NOT_ADMITTED =
  /HTTP status client error \((?:401|403|407)|lack of valid authentication credentials|[Pp]roxy [Aa]uthentication [Rr]equired/;
const NOT_TRUSTED = /invalid peer certificate/;
const UNREACHABLE =
  /client error \(Connect\)|dns error|Connection refused|Connection reset|operation timed out|timed out|HTTP status server error|HTTP status client error \(429|Could not connect/;
const UNRESOLVABLE =
  /No solution found when resolving dependencies|was not found in the package registry|404 Not Found|Hash mismatch|there is no version of|not a valid|Couldn't parse requirement|[Ff]ailed to parse/;

/** The requirement that the installer's sentence is about; it says so in a handful of ways. */
function requirementIn(output: string): string {
  const text = output.replace(/\s+/g, " ");
  const found =
    /you require ([^\s,]+(?:[<>=!~]=?[^\s,]+)?)/.exec(text) ??
    /there (?:is|are) no versions? of ([^\s,]+)/.exec(text) ??
    /Because ([^\s,]+) was not found/.exec(text) ??
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
