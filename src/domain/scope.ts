import { z } from "zod";

/** What a key may do, where it may do it at all. The admin key has them all, and manages keys and tenants beside. */
export const SCOPES = ["packages:write", "installations:write", "invoke", "read", "trust:write"] as const;
export const Scope = z.enum(SCOPES);
export type Scope = z.infer<typeof Scope>;
