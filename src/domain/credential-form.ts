/** The form that a declaration has for the credentials of a provider, and what it makes of those that are given. */
import type { CredentialKind } from "./credential.ts";
import { invalidInput } from "./fault.ts";
import { type JsonMap, listOf, member } from "./json.ts";
import type { DeclarationJson } from "./package.ts";

/** One field of the form. */
export interface CredentialField {
  readonly name: string;
  readonly isSecret: boolean;
  readonly isRequired: boolean;
  /** Used where nothing is given; undefined where the declaration has none. */
  readonly default: unknown;
  /** The field counts only where others have these values. */
  readonly showOn: readonly { readonly name: string; readonly value: unknown }[];
}

/** Undefined: the provider takes none. `own`: those of one model; only model providers have them. */
export interface CredentialForms {
  readonly provider: readonly CredentialField[] | undefined;
  readonly own: readonly CredentialField[] | undefined;
}

/** What a call of a provider needs: nothing is looked up for one that takes no credentials. */
export type CredentialNeed = "none" | "optional" | "required";

export function readCredentialForms(declaration: DeclarationJson, kind: CredentialKind): CredentialForms {
  const block = declaration[kind];
  if (kind === "model")
    return {
      provider: readFields(member(member(block, "provider_credential_schema"), "credential_form_schemas")),
      own: readFields(member(member(block, "model_credential_schema"), "credential_form_schemas")),
    };
  const holder = kind === "trigger" ? member(block, "subscription_constructor") : block;
  return { provider: readFields(member(holder, "credentials_schema")), own: undefined };
}

export function credentialNeed({ provider, own }: CredentialForms): CredentialNeed {
  const fields = [...(provider ?? []), ...(own ?? [])];
  if (fields.length === 0) return "none";
  return fields.some(({ isRequired, showOn }) => isRequired && showOn.length === 0) ? "required" : "optional";
}

/**
 * The credentials with the defaults of the fields that were left out. Throws `invalid_input`, without any value, for a
 * field that the form does not have and for a missing one that it requires.
 */
export function fillForm(given: JsonMap, fields: readonly CredentialField[]): JsonMap {
  const names = fields.map(({ name }) => name);
  const unknown = Object.keys(given).find((name) => !names.includes(name));
  if (unknown !== undefined)
    throw invalidInput(`credentials.${unknown}`, "an unknown field", names.join(", "));
  const filled: Record<string, unknown> = { ...given };
  for (const { name, default: value, isRequired, showOn } of fields) {
    if (filled[name] !== undefined && filled[name] !== null) continue;
    if (!showOn.every((other) => filled[other.name] === other.value)) continue;
    if (value !== undefined && value !== null) filled[name] = value;
    else if (isRequired) throw invalidInput(`credentials.${name}`, undefined, "a value");
  }
  return filled;
}

/** Undefined for an empty form. */
function readFields(schema: unknown): readonly CredentialField[] | undefined {
  const fields = listOf(schema).flatMap(readField);
  return fields.length === 0 ? undefined : fields;
}

/** Model providers name a field `variable`, the others `name`. */
function readField(given: unknown): CredentialField[] {
  const name = member(given, "variable") ?? member(given, "name");
  if (typeof name !== "string") return [];
  const showOn = listOf(member(given, "show_on")).flatMap((condition) => {
    const other = member(condition, "variable");
    return typeof other === "string" ? [{ name: other, value: member(condition, "value") }] : [];
  });
  return [
    {
      name,
      isSecret: member(given, "type") === "secret-input",
      isRequired: member(given, "required") === true,
      default: member(given, "default") ?? undefined,
      showOn,
    },
  ];
}
