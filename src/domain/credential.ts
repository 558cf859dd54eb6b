/** Credentials that a tenant keeps for a provider of a plugin, and the rule by which a call gets one of them. */
import { z } from "zod";
import { Fault, invalidInput } from "./fault.ts";
import type { ProviderKind } from "./package.ts";

export const CredentialId = z.uuid().brand("CredentialId");
export type CredentialId = z.infer<typeof CredentialId>;

/** The kinds of providers whose operations take credentials. */
export const CREDENTIAL_KINDS = [
  "tool",
  "model",
  "datasource",
  "trigger",
] as const satisfies readonly ProviderKind[];
export type CredentialKind = (typeof CREDENTIAL_KINDS)[number];

/** A model whose credentials are its own, as with servers that the tenant runs. */
export interface CredentialModel {
  readonly model: string;
  readonly modelType: string;
}

/** What chooses between the credentials of one provider. */
export interface Choosable {
  readonly id: string;
  readonly name: string;
  /** Undefined: for all models of the provider, or no model provider. */
  readonly model: CredentialModel | undefined;
  /** Of those with the same model, one is the default. */
  readonly isDefault: boolean;
}

export interface CredentialChoice {
  /** Name or id; undefined: the default. */
  readonly named: string | undefined;
  /** Field of the request that names it. */
  readonly field: string;
  readonly model: CredentialModel | undefined;
}

/** Of one provider of a tenant. */
export const CREDENTIALS_MAX = 100;

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const NAME_ACCEPTED =
  "1 to 63 letters, digits, `.`, `_` and `-`, not one of the last three first, and not the form of an id";

/** Throws `invalid_input`. A name never looks like an id, so that requests may use either. */
export function assertCredentialName(name: string): void {
  if (!NAME.test(name) || CredentialId.safeParse(name).success)
    throw invalidInput("name", name, NAME_ACCEPTED);
}

/**
 * The one that is named, or the default: that of the model where there is one, else that of the provider. Undefined
 * where none is named and no default fits. Throws `credential_not_found` for a name that does not exist or does not fit.
 */
export function chooseCredential<T extends Choosable>(
  all: readonly T[],
  { named, field, model }: CredentialChoice,
): T | undefined {
  const fits = all.filter((one) => one.model === undefined || isSame(one.model, model));
  if (named === undefined) {
    const defaults = fits.filter(({ isDefault }) => isDefault);
    return defaults.find((one) => one.model !== undefined) ?? defaults[0];
  }
  const found = fits.find(({ id, name }) => id === named || name === named);
  if (found !== undefined) return found;
  const accepted = fits.map(({ name }) => name);
  const list = accepted.length === 0 ? "none is kept" : `accepted: ${accepted.join(", ")}`;
  throw new Fault(
    "credential_not_found",
    `${field} is ${JSON.stringify(named)}: the tenant keeps no such credential for it; ${list}.`,
    { details: { field, value: named, accepted } },
  );
}

function isSame(own: CredentialModel, asked: CredentialModel | undefined): boolean {
  return own.model === asked?.model && own.modelType === asked.modelType;
}

export function credentialNotFound(id: string): Fault {
  return new Fault("credential_not_found", `The tenant keeps no credential ${id}.`, {
    details: { field: "id", value: id, accepted: "the id of a credential of this tenant" },
  });
}
