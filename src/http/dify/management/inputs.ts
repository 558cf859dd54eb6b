/** What routes of this folder take in more than one place. */
import { IDENTIFIER_PATTERN } from "../../../domain/package-ref.ts";
import { max, min, needed, type Rule, struct, text, whole } from "../../../domain/shape.ts";

/** The identifier of a package, by the rule of all that came before us: the author may be missing. */
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
