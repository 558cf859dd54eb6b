import { CREDENTIAL_KINDS } from "../../../domain/credential.ts";
import { invalidInput } from "../../../domain/fault.ts";
import type { CallerFields, InvocationRequest } from "../../../domain/invocation.ts";
import { type CredentialSource, modelIn } from "../../../invocation/credential-source.ts";
import type { Invoker } from "../../../invocation/invoke.ts";

/**
 * The body with the credentials that its member `credential` names; a body without that member as it is. Throws
 * `invalid_input` where it has `credentials` too, `credential_not_found`, and the fault with which the plugin refuses
 * calls.
 */
export async function withKeptCredentials(
  { credentials, invoker }: { credentials: CredentialSource; invoker: Pick<Invoker, "admit" | "find"> },
  { tenantId, pluginId, operation }: Pick<InvocationRequest, "tenantId" | "pluginId" | "operation">,
  content: CallerFields,
): Promise<CallerFields> {
  const { fields, refusal } = content;
  const named = fields["credential"];
  // a wrong type is refused with the rest of the body
  if (!operation.takesCredential || typeof named !== "string" || refusal !== undefined) return content;
  if (fields["credentials"] !== undefined)
    throw invalidInput("credential", named, "credential or credentials, not both");
  await invoker.admit({ tenantId, pluginId });
  const given = fields[operation.providerField ?? ""];
  const found = invoker
    .find(tenantId, pluginId)
    ?.catalog.providers.find(
      ({ kind, name }) =>
        operation.kinds.includes(kind) && (given === name || given === `${pluginId}/${name}`),
    );
  const kind = CREDENTIAL_KINDS.find((one) => one === found?.kind);
  // an unknown provider is refused before the call begins
  if (found === undefined || kind === undefined) return content;
  const asked = { tenantId, pluginId, kind, provider: found.name, need: found.credentials } as const;
  const model = modelIn({ ...operation.defaults, ...fields });
  return { ...content, kept: await credentials.find({ ...asked, named, field: "credential", model }) };
}
