import { createBerthSecrets } from "../../../src/endpoint/secret-settings/berth-secrets.ts";
import { withoutPlatform } from "../../../src/endpoint/secret-settings/platform-secrets.ts";
import { parseSecretKeys } from "../../../src/endpoint/secret-settings/secret-keys.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");

export const testKeys = parseSecretKeys(`test:${KEY}`, "a test");

/** Settings of endpoints are sealed by a key of the tests; the platform seals nothing. */
export const testSecrets = withoutPlatform(createBerthSecrets({ keys: testKeys }));
