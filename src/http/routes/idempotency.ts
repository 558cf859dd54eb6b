import { createHash } from "node:crypto";
import { invalidInput } from "../../domain/fault.ts";
import type { IdempotencyClaim } from "../../store/contracts/answers.ts";

/** What the `Idempotency-Key` of a request claims, of one holder. Throws `invalid_input` for a key against the rule. */
export function idempotencyClaim(
  holder: string,
  key: string | undefined,
  { method, url, text }: { readonly method: string; readonly url: string; readonly text: string },
): IdempotencyClaim | undefined {
  if (key === undefined) return undefined;
  if (!/^[\x21-\x7e]{1,200}$/.test(key)) {
    throw invalidInput("Idempotency-Key", key, "1 to 200 visible ASCII characters");
  }
  const hash = createHash("sha256").update(`${method} ${new URL(url).pathname}\n${text}`);
  return { holder, key, requestHash: hash.digest("hex") };
}
