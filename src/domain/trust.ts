/** Words of trust: what a signature may say, what an instance asks of it, and what was decided about one Package. */

/** `off`: noted and no more; `warn`: a warning; `require`: refused. In the order in which they tighten. */
export const SIGNATURE_POLICIES = ["off", "warn", "require"] as const;
export type SignaturePolicy = (typeof SIGNATURE_POLICIES)[number];

/** What a signer may vouch for a Package to be. */
export const SIGNATURE_CATEGORIES = ["langgenius", "partner", "community"] as const;
export type SignatureCategory = (typeof SIGNATURE_CATEGORIES)[number];

/** Whose name needs the category of the same name. */
export const VENDOR = "langgenius";

/** A public key whose signatures count. */
export interface TrustedKey {
  /** SHA-256 over the key's DER form (SPKI), hex: the same key has the same id wherever it is. */
  readonly id: string;
  readonly name: string;
  /** PEM, `RSA PUBLIC KEY`. */
  readonly pem: string;
  /** `settings`: from the file or folder that the operator's settings name; it is removed there alone. */
  readonly origin: "settings" | "api";
  /** Undefined where it comes from the settings. */
  readonly createdAt: Date | undefined;
}

/**
 * `verified`: a trusted key signed it. `category_missing`: so it is, but not with the category that its author's name
 * needs. `admitted`: the operator admitted its digest. `unsigned`: nothing is signed. `wrong`: no trusted key made its
 * signature. `unjudged`: it is signed, and no key is trusted that could tell by whom.
 */
export const TRUST_VERDICTS = [
  "verified",
  "category_missing",
  "admitted",
  "unsigned",
  "wrong",
  "unjudged",
] as const;
export type TrustVerdict = (typeof TRUST_VERDICTS)[number];

/** What was decided about one Package, for one Tenant, at one moment. */
export interface TrustDecision {
  readonly identifier: string;
  readonly verdict: TrustVerdict;
  readonly policy: SignaturePolicy;
  /** Where the policy comes from: a request may tighten that of its Tenant, which takes the place of the instance's. */
  readonly policyFrom: "instance" | "tenant" | "request";
  /** Of the key that signed. */
  readonly keyId?: string;
  readonly keyName?: string;
  readonly category?: SignatureCategory;
  /** As the signer says; nobody can check it. ISO 8601. */
  readonly signedAt?: string;
  /** One sentence, where the policy is `warn` and not content. */
  readonly warning?: string;
  /** ISO 8601. */
  readonly decidedAt: string;
}
