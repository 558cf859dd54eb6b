/** The vocabulary of trust: what a signature states, what the operator requires, and the decision on one package. */

/** `off`: recorded only; `warn`: a warning; `require`: refused. From loosest to strictest. */
export const SIGNATURE_POLICIES = ["off", "warn", "require"] as const;
export type SignaturePolicy = (typeof SIGNATURE_POLICIES)[number];

/** What a signer may certify a package to be. */
export const SIGNATURE_CATEGORIES = ["langgenius", "partner", "community"] as const;
export type SignatureCategory = (typeof SIGNATURE_CATEGORIES)[number];

/** Packages of this author need the category of the same name. */
export const VENDOR = "langgenius";

/** A public key whose signatures are trusted. */
export interface TrustedKey {
  /** SHA-256 over the key's DER form (SPKI), hex: the same key has the same id everywhere. */
  readonly id: string;
  readonly name: string;
  /** PEM, `RSA PUBLIC KEY`. */
  readonly pem: string;
  /** `settings`: from the file or folder that the operator's settings name; it can be removed there only. */
  readonly origin: "settings" | "api";
  /** Undefined where it comes from the settings. */
  readonly createdAt: Date | undefined;
}

/**
 * `verified`: a trusted key signed it. `category_missing`: the same, without the category that its author's name needs.
 * `admitted`: the operator admitted its digest. `unsigned`: it has no signature. `wrong`: no trusted key made its
 * signature. `unjudged`: it is signed, and no key is trusted that could verify the signature.
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

/** The decision on one package, for one tenant, at one moment. */
export interface TrustDecision {
  readonly identifier: string;
  readonly verdict: TrustVerdict;
  readonly policy: SignaturePolicy;
  /** Where the policy comes from. A tenant's policy replaces the instance's; a request can only tighten it. */
  readonly policyFrom: "instance" | "tenant" | "request";
  /** Of the key that made the signature. */
  readonly keyId?: string;
  readonly keyName?: string;
  readonly category?: SignatureCategory;
  /** As the signer states it, which nobody can check. ISO 8601. */
  readonly signedAt?: string;
  /** One sentence, where the policy is `warn` and the package does not meet it. */
  readonly warning?: string;
  /** ISO 8601. */
  readonly decidedAt: string;
}
