import { z } from "zod";

/** What a key may do within its tenants. The admin key has all scopes, and alone manages keys and tenants. */
export const SCOPES = ["packages:write", "installations:write", "invoke", "read", "trust:write"] as const;
export const Scope = z.enum(SCOPES);
export type Scope = z.infer<typeof Scope>;
