import type { JsonMap } from "../../../domain/json.ts";

interface OperationCaller {
  /** The provider's own name. */
  readonly provider: string;
  readonly userId: string;
  /** In plain text. */
  readonly credentials: JsonMap;
}

/**
 * The plugin's request as fields of the operation that serves it; keys that the operation does not know are left out.
 */
export function operationFields(
  type: "tool" | "model",
  request: Readonly<Record<string, unknown>>,
  { provider, userId, credentials }: OperationCaller,
): Record<string, unknown> {
  const { provider: _, user_id: __, tenant_id: ___, type: ____, credential_id: _____, ...own } = request;
  if (type === "tool") {
    return {
      user_id: userId,
      provider,
      tool: own["tool"],
      tool_parameters: own["tool_parameters"] ?? {},
      credentials,
    };
  }
  const { completion_params, mode: ______, ...rest } = own;
  return {
    ...rest,
    user_id: userId,
    provider,
    credentials,
    ...(completion_params === undefined ? {} : { model_parameters: completion_params }),
  };
}
