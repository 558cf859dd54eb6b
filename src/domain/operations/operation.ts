/**
 * What a row of the table of operations says: one (type, action) pair of the wire protocol, for both doors.
 *
 * `schema` is what callers of `/v1` send. It checks that everything the SDK needs is present, and accepts keys that it
 * does not know.
 */
import { z } from "zod";
import type { FaultCode } from "../fault.ts";
import type { ProviderKind } from "../package.ts";

export interface Operation {
  readonly type: string;
  readonly action: string;
  readonly summary: string;
  /** The declaration must offer one of these. */
  readonly kinds: readonly ProviderKind[];
  /** Field that names the provider, where the operation has one. */
  readonly providerField: string | undefined;
  /** Field that names an item of the provider, and the fault code where the provider does not have that item. */
  readonly item: { readonly field: string; readonly code: FaultCode } | undefined;
  /** Other names under which a caller may send a field: alias → the wire's name. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Added where the caller left the key out: the SDK requires these. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** The wire's field that always holds the session's own tenant. */
  readonly tenantField: string | undefined;
  /** A caller may name a credential that is kept, in place of `credentials`. */
  readonly takesCredential: boolean;
  readonly schema: z.ZodObject;
}

export const name = z.string().min(1);
export const hex = z.string().regex(/^(?:[0-9a-fA-F]{2})*$/, "bytes as pairs of hex digits");
export const bag = z.looseObject({});
export const items = z.array(z.unknown());
export const credentials = bag.optional();

const credential = z
  .string()
  .min(1)
  .max(255)
  .optional()
  .describe("Name or id of a credential that the tenant keeps for the provider, in place of `credentials`.");

/** What every request may carry beside its operation's own fields. */
const ENVELOPE = {
  user_id: z.string().min(1),
  conversation_id: z.string().nullish(),
  message_id: z.string().nullish(),
  app_id: z.string().nullish(),
  endpoint_id: z.string().nullish(),
  context: bag.nullish(),
  timeout_ms: z.int().min(1).optional().describe("Shortens the call's deadline; never lengthens it."),
};

/** Which operation it is, and which kinds of provider have it. */
export interface OperationName {
  readonly type: string;
  readonly action: string;
  readonly kinds: readonly ProviderKind[];
  readonly summary: string;
}

export interface OperationRow
  extends Partial<Pick<Operation, "item" | "aliases" | "defaults" | "tenantField" | "providerField">> {
  readonly fields: z.ZodRawShape;
}

export function operation({ type, action, kinds, summary }: OperationName, row: OperationRow): Operation {
  // of `oauth`, the credentials are those that the call is about
  const takesCredential = "credentials" in row.fields && type !== "oauth";
  return {
    type,
    action,
    summary,
    kinds,
    providerField: "providerField" in row ? row.providerField : "provider",
    item: row.item,
    aliases: row.aliases ?? {},
    defaults: row.defaults ?? {},
    tenantField: row.tenantField,
    takesCredential,
    schema: z.looseObject({ ...ENVELOPE, ...(takesCredential && { credential }), ...row.fields }),
  };
}
