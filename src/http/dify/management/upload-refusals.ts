/** What is wrong with an upload, in the daemon's words for the step that finds it. */
import { type Fault, type FaultCode, isFault } from "../../../domain/fault.ts";
import type { FormRefusals } from "../../bodies/form-file.ts";
import { refusal } from "../errors.ts";

const bad = (message: string) => refusal("PluginDaemonBadRequestError", message);
const internal = (message: string) => refusal("PluginDaemonInternalServerError", message);

export const FORM_REFUSALS: FormRefusals = {
  noForm: () => bad("request Content-Type isn't multipart/form-data"),
  noFile: () => bad("http: no such file"),
  broken: (cause) => bad(`multipart: ${cause instanceof Error ? cause.message : "the form cannot be read"}`),
};

const TOO_LARGE = "file size exceeds the maximum limit";
const NO_ZIP = "not a valid difypkg file";
const BAD_SIGNATURE =
  "plugin verification has been enabled, and the plugin you want to install has a bad signature";
const VENDOR_NAME =
  "installation is blocked: the plugin says that it is from Langgenius and has no official signature; " +
  "ENFORCE_LANGGENIUS_PLUGIN_SIGNATURES=false allows it";
const UUID_AUTHOR = "cannot set author to an UUID";

/** Codes whose message is for the author of the archive; other errors are reported as they are. */
const ABOUT_THE_ARCHIVE: readonly FaultCode[] = [
  "package_not_zip",
  "package_unsafe",
  "package_too_large",
  "manifest_missing",
  "manifest_invalid",
  "identifier_too_long",
  "checksum_mismatch",
  "signature_required",
  "signature_wrong",
];

/** For a single package; `bytesMax` bounds its unpacked size. */
export function packageRefusal(error: unknown, bytesMax: number): unknown {
  if (!isFault(error)) return error;
  if (error.code === "payload_too_large") return bad(TOO_LARGE);
  return ABOUT_THE_ARCHIVE.includes(error.code) ? bad(packageText(error, bytesMax)) : saveFailed(error);
}

/** For a bundle, or for a package in it, whose path is in the details. */
export function bundleRefusal(error: unknown, packageBytesMax: number): unknown {
  if (!isFault(error)) return error;
  const { code, message, details } = error;
  if (code === "payload_too_large" && details["package"] === undefined) return bad(TOO_LARGE);
  const inPackage = details["package"] !== undefined;
  if (code === "signature_required" || code === "signature_wrong")
    return bad(packageText(error, packageBytesMax));
  if (inPackage && (ABOUT_THE_ARCHIVE.includes(code) || code === "payload_too_large")) {
    const step = code === "package_not_zip" ? "failed to create package decoder" : "failed to decode package";
    return bad(`${step}\n${packageText(error, packageBytesMax)}`);
  }
  if (code === "manifest_invalid" && details["missing"] !== undefined)
    return internal("failed to fetch package from bundle\nasset not found");
  if (code === "package_not_zip" || code === "package_unsafe" || code === "package_too_large")
    return bad(`${message}\nfailed to decode bundle`);
  if (ABOUT_THE_ARCHIVE.includes(code)) return bad(`${message}\nfailed to load bundle manifest`);
  return saveFailed(error);
}

function packageText({ code, message, details }: Fault, bytesMax: number): string {
  const tooMuch = `plugin package size is too large, please ensure the uncompressed size is less than ${bytesMax} bytes`;
  switch (code) {
    case "package_not_zip":
      return `difypkg: ${NO_ZIP}`;
    case "package_too_large":
    case "payload_too_large":
      return tooMuch;
    case "identifier_too_long":
      return `plugin_unique_identifier is not valid: ${message}`;
    case "signature_required":
    case "signature_wrong":
      return details["refused_for"] === "vendor" ? VENDOR_NAME : BAD_SIGNATURE;
    default:
      return manifestText({ message, details });
  }
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function manifestText({ message, details }: Pick<Fault, "message" | "details">): string {
  const { field, value, missing } = details;
  if (field === "author" && typeof value === "string" && UUID.test(value)) return UUID_AUTHOR;
  const isRule = field === "author" || field === "name" || field === "plugins";
  if (isRule && missing === undefined) return `${message}\nillegal plugin manifest\nfailed to decode package`;
  return `${message}\nfailed to decode package`;
}

/** Errors that may pass are reported as the daemon does where saving fails. */
function saveFailed(error: Fault): Fault {
  return error.rule.status >= 500 || error.code === "conflict"
    ? bad(`${error.message}\nfailed to save package`)
    : error;
}
