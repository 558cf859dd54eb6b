/** Where calls get the credentials that their tenant keeps. */
import type { CredentialChoice, CredentialModel } from "../domain/credential.ts";
import type { CredentialNeed } from "../domain/credential-form.ts";
import type { JsonMap } from "../domain/json.ts";
import type { CredentialProvider } from "../store/contracts/credentials.ts";

export interface CredentialAsked extends CredentialProvider, CredentialChoice {
  readonly need: CredentialNeed;
}

export interface CredentialSource {
  /**
   * In plain text, as they are now: a change counts from the next call on, in every process. Empty, and nothing is read,
   * where none is named and the provider takes none. Throws `credential_not_found` where one is named or required and
   * missing, `secret_unreadable`, and `store_unavailable`.
   */
  find(asked: CredentialAsked): Promise<JsonMap>;
}

/** Of the fields of a call; undefined where it is none of a model. */
export function modelIn(fields: JsonMap): CredentialModel | undefined {
  const { model, model_type: modelType } = fields;
  return typeof model === "string" && typeof modelType === "string" ? { model, modelType } : undefined;
}
