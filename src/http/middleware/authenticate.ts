import { Fault } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { Keyring, Principal } from "../../keys/keyring.ts";

/** `any`: every key. `tenant`: the operator, and keys of the tenant in the path. `operator`: nobody else. */
export type Access = "public" | "any" | "tenant" | "operator";

/** Throws `unauthorized`. */
export function authenticate(keyring: Pick<Keyring, "find">, header: string | undefined): Principal {
  const accepted = "Authorization: Bearer <key>";
  if (header === undefined) {
    throw new Fault("unauthorized", "The request carries no key.", {
      details: { field: "Authorization", accepted },
    });
  }
  const principal = /^bearer /i.test(header) ? keyring.find(header.slice(7).trim()) : undefined;
  if (principal !== undefined) return principal;
  throw new Fault("unauthorized", "The key is not known, or was revoked.", {
    details: { field: "Authorization", accepted },
  });
}

/** Throws `forbidden`. */
export function authorize(principal: Principal, access: Access, tenantId: TenantId | undefined): void {
  if (principal.tenantId === undefined || access === "any") return;
  if (access === "tenant" && tenantId === principal.tenantId) return;
  const message = access === "operator" ? "Only the operator may do this." : "The key opens another tenant.";
  throw new Fault("forbidden", message);
}
