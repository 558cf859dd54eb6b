import type { Trust } from "../../../installation/trust/trust.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { addAdmit, addListAdmissions, addRemoveAdmission } from "./admissions.ts";
import { addAddTrustedKey, addListTrustedKeys, addRemoveTrustedKey } from "./keys.ts";
import { addGetTenantTrust, addGetTrust, addSetTenantTrust } from "./policy.ts";

/** Tenants may read all of it; only an operator may change it. */
export function addTrust(routes: Routes, parts: { readonly trust: Trust; readonly store: Store }): void {
  addGetTrust(routes, parts);
  addListTrustedKeys(routes, parts);
  addAddTrustedKey(routes, parts);
  addRemoveTrustedKey(routes, parts);
  addListAdmissions(routes, parts);
  addAdmit(routes, parts);
  addRemoveAdmission(routes, parts);
  addGetTenantTrust(routes, parts);
  addSetTenantTrust(routes, parts);
}
