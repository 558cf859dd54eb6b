/** The callers in tests of the HTTP server: tenants, and the keys of the operator and of the platform. */
import { TenantId } from "../../../src/domain/ids.ts";

export const ADMIN_KEY = "berth_3c1d0f9a7b52e846c1d0f9a7b52e";
export const DIFY_KEY = "a key of the platform";
export const DIFY_ADMIN_KEY = "a key of its operator";
export const TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001");
export const OTHER_TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000002");
