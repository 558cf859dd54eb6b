/** Fields that several operations have in common, as the daemon's structs have them. */
import { field, map, needed, omitted, text } from "../shape.ts";

export const CREDENTIALS = { credentials: field(map), credential_type: omitted(text) };

export const PROVIDER = { provider: needed(text) };
