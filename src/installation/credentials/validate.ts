/** Asks a plugin whether credentials work, with the operation that its kind has for it. */
import type { CredentialKind, CredentialModel } from "../../domain/credential.ts";
import type { CredentialField } from "../../domain/credential-form.ts";
import { Fault, isFault } from "../../domain/fault.ts";
import { readJson } from "../../domain/frame.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { InvocationSink } from "../../domain/invocation.ts";
import { isMap, type JsonMap } from "../../domain/json.ts";
import { indexOperations } from "../../domain/operations/operations.ts";
import type { Invoker } from "../../invocation/invoke.ts";

export interface ValidateCredentials {
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly kind: CredentialKind;
  readonly provider: string;
  readonly model: CredentialModel | undefined;
  readonly form: readonly CredentialField[];
  readonly credentials: JsonMap;
  readonly requestId: string;
}

const ACTIONS: Readonly<Record<CredentialKind, string>> = {
  tool: "validate_tool_credentials",
  model: "validate_provider_credentials",
  datasource: "validate_datasource_credentials",
  trigger: "validate_trigger_credentials",
};
const find = indexOperations();

/**
 * Resolves with the credentials, and with what the plugin has added to them, once the plugin accepts them. Throws
 * `credentials_refused` with the plugin's reason, in which secrets are replaced, and the faults of a call that fails
 * otherwise.
 */
export async function validateCredentials(
  invoker: Pick<Invoker, "invoke">,
  asked: ValidateCredentials,
  signal: AbortSignal,
): Promise<JsonMap> {
  const { kind, provider, model, credentials } = asked;
  const fields = {
    user_id: "berth",
    provider,
    ...(model !== undefined && { model: model.model, model_type: model.modelType }),
    credentials,
  };
  try {
    const action = model === undefined ? ACTIONS[kind] : "validate_model_credentials";
    const answer = await ask(invoker, { ...asked, action, fields }, signal);
    if (!isMap(answer) || answer["result"] !== true)
      throw refused(asked, "it answers that they are not valid.");
    return isMap(answer["credentials"]) ? { ...credentials, ...answer["credentials"] } : credentials;
  } catch (error) {
    if (isFault(error, "plugin_error")) throw refused(asked, hide(error.message, asked));
    throw error;
  }
}

function refused({ pluginId, provider }: ValidateCredentials, why: string): Fault {
  return new Fault("credentials_refused", `The plugin refuses the credentials: ${why}`, {
    details: { field: "credentials", accepted: `what ${pluginId}/${provider} accepts`, why },
  });
}

/** A plugin may repeat what it was given, also as part of a URL or of JSON. */
function hide(text: string, { form, credentials }: ValidateCredentials): string {
  const secrets = form
    .filter(({ isSecret }) => isSecret)
    .map(({ name }) => credentials[name])
    .filter((value): value is string => typeof value === "string" && value !== "")
    .flatMap((value) => [value, encodeURIComponent(value.toWellFormed()), JSON.stringify(value).slice(1, -1)])
    // one that is part of another must not break it up
    .sort((a, b) => b.length - a.length);
  return secrets.reduce((hidden, secret) => hidden.replaceAll(secret, "***"), text);
}

interface Asked extends ValidateCredentials {
  readonly action: string;
  readonly fields: JsonMap;
}

/** The first item of the answer; undefined where there is none. When the request ends, the wait does. */
async function ask(
  invoker: Pick<Invoker, "invoke">,
  { tenantId, pluginId, kind, action, fields, requestId }: Asked,
  signal: AbortSignal,
): Promise<unknown> {
  const operation = find(kind, action);
  if (operation === undefined) throw new Error(`${action} is no operation`);
  signal.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  let first: unknown;
  const sink: InvocationSink = {
    bufferedBytes: 0,
    started: () => undefined,
    item: (data) => {
      first ??= readJson(data);
    },
    end: (end) => (end.ok ? resolve(first) : reject(end.fault)),
  };
  const content = { form: "fields", fields, text: JSON.stringify(fields) } as const;
  const call = invoker.invoke({ tenantId, pluginId, operation, content, requestId }, sink);
  const onGone = () => {
    call.detach();
    reject(signal.reason);
  };
  signal.addEventListener("abort", onGone, { once: true });
  return await promise.finally(() => signal.removeEventListener("abort", onGone));
}
