/** Inputs that several routes share. */
import { IDENTIFIER_PATTERN } from "../../domain/package-ref.ts";
import { refusal } from "./errors.ts";
import { max, min, needed, type Rule, struct, text, whole } from "./wire/shape.ts";

export const MANAGEMENT = "/plugin/:tenant_id/management";

/** The identifier of a package. As in earlier daemons the author may be missing. */
export const isIdentifier: Rule = {
  tag: "plugin_unique_identifier",
  holds: (value) => typeof value === "string" && IDENTIFIER_PATTERN.test(value),
};

export const NOTHING = struct({});

export const PageInput = struct({
  page: needed(whole, min(1)),
  page_size: needed(whole, min(1), max(256)),
});

export const IdentifierInput = struct({ plugin_unique_identifier: needed(text, isIdentifier) });

export const ProviderInput = struct({ plugin_id: needed(text), provider: needed(text) });

/** The identifier in `X-Plugin-Unique-Identifier`. Throws with status 400. */
export function identifierOfHeader(given = ""): string {
  if (given === "")
    throw refusal("PluginDaemonBadRequestError", "X-Plugin-Unique-Identifier header is required", 400);
  if (!isIdentifier.holds(given))
    throw refusal("PluginUniqueIdentifierError", `plugin_unique_identifier is not valid: ${given}`, 400);
  return given;
}
