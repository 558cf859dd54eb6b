import { Fault } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Scope } from "../../domain/scope.ts";
import { KEY_REFUSED, type Keyring, type Principal } from "../../keys/keyring.ts";

/**
 * Who may use a route. `public`: anybody, without a key. `admin`: the admin key only. Otherwise a key with the scope:
 * `any` key, the `operator`'s, or those and keys of the `tenant` in the path.
 */
export type Access = "public" | "admin" | KeyAccess;

export interface KeyAccess {
  readonly opens: "any" | "tenant" | "operator";
  readonly scope: Scope;
}

/** Throws `unauthorized`, with one message for all unusable keys, so that it tells nothing about them. */
export function authenticate(keyring: Pick<Keyring, "find">, header: string | undefined): Principal {
  const accepted = "Authorization: Bearer <key>";
  const details = { field: "Authorization", accepted };
  if (header === undefined) throw new Fault("unauthorized", "The request carries no key.", { details });
  if (!/^bearer +\S+ *$/i.test(header)) {
    throw new Fault("unauthorized", `The Authorization header cannot be read; accepted: ${accepted}.`, {
      details,
    });
  }
  const principal = keyring.find(header.slice(7).trim());
  if (principal !== undefined) return principal;
  const hint = "With the admin key, GET /v1/keys shows which, by the key's first characters.";
  throw new Fault("unauthorized", `${KEY_REFUSED} ${hint}`, { details });
}

/** Throws `forbidden`, which names the key that the route needs and what the given key has. */
export function authorize(principal: Principal, access: Access, tenantId: TenantId | undefined): void {
  if (access === "public" || principal.isAdmin) return;
  if (access === "admin") throw refusal(principal, "This needs the admin key.", "the admin key");
  if (principal.tenantId !== undefined) checkTenant(principal, access, tenantId);
  const { scope } = access;
  if (principal.scopes.includes(scope)) return;
  const has = principal.scopes.join(", ");
  throw refusal(
    principal,
    `The key lacks the scope ${scope}; it has ${has}.`,
    `a key with the scope ${scope}`,
  );
}

function checkTenant(principal: Principal, { opens }: KeyAccess, tenantId: TenantId | undefined): void {
  if (opens === "operator") throw refusal(principal, "This needs an operator's key.", "an operator's key");
  if (opens === "tenant" && tenantId !== principal.tenantId)
    throw refusal(principal, "The key belongs to another tenant.", "a key of this tenant, or an operator's");
}

function refusal({ scopes, tenantId }: Principal, message: string, accepted: string): Fault {
  return new Fault("forbidden", message, {
    details: { field: "Authorization", value: { tenant_id: tenantId ?? null, scopes }, accepted },
  });
}
