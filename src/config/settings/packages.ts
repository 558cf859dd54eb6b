/** Which packages are accepted: sizes, versions, signatures. */
import { parsePlatformVersion } from "../../domain/platform-version.ts";
import { matching, oneOf, optional, type Setting, whole } from "../kinds.ts";

export const PACKAGES = {
  BERTH_PACKAGE_MB_MAX: whole(
    1,
    4096,
    "50",
    "Maximum size of an uploaded package, packed and unpacked (MiB)",
  ),
  BERTH_BUNDLE_MB_MAX: whole(
    1,
    65_536,
    "600",
    "Maximum size of an uploaded bundle, packed and unpacked (MiB)",
  ),
  BERTH_PLATFORM_VERSION: matching(
    (value) => parsePlatformVersion(value) !== undefined,
    "a version, for example `1.9.0`",
    "Version of the platform. If set, a package that requires a newer one gets a warning",
  ),
  BERTH_SIGNATURE_POLICY: oneOf(
    ["off", "warn", "require"],
    "warn",
    "What happens to a package that no trusted key has signed: nothing, a warning, or a refusal. A tenant may have its own policy",
  ),
  BERTH_TRUSTED_KEYS: optional(
    "PEM files of trusted public keys, or folders of them (`*.pem`), comma-separated",
  ),
  BERTH_TRUST_MARKETPLACE: oneOf(
    ["yes", "no"],
    "no",
    "`yes` trusts the signatures of Dify's marketplace, as dify-plugin-daemon does",
  ),
  BERTH_SIGNATURE_NO_CATEGORY: oneOf(
    ["none", "langgenius"],
    "none",
    "Category of a signed package that names none. Use `langgenius` for packages from before categories existed",
  ),
  BERTH_SIGNATURE_LANGGENIUS: oneOf(
    ["yes", "no"],
    "yes",
    "`yes`: a package of the author `langgenius` counts as signed only with the category `langgenius`",
  ),
} as const satisfies Record<string, Setting<unknown>>;
