/** The part of the store contract about trust. Every change is audited in its own transaction. */
import type { Actor } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { SignatureCategory, SignaturePolicy, TrustDecision, TrustedKey } from "../../domain/trust.ts";
import type { Page, PageRequest } from "./answers.ts";

/** Contents that the operator accepts without a signature. */
export interface Admission {
  /** The checksum in the package's identifier. */
  readonly checksum: string;
  readonly note: string;
  readonly createdAt: Date;
}

/** A signature over a package's contents by a key that was trusted when the signature was stored. */
export interface StoredSignature {
  readonly identifier: string;
  readonly keyId: string;
  readonly category: SignatureCategory | undefined;
  /** Unix time in seconds. */
  readonly time: number;
  /** Base64. */
  readonly signature: string;
  /** All paths of the package, in the signed order. */
  readonly entries: readonly string[];
  readonly createdAt: Date;
}

export interface TrustRows {
  /** All added keys, oldest first. */
  keys(): Promise<readonly TrustedKey[]>;
  /** Adds a key; the same key again changes nothing, its name included, and `created` is false. */
  addKey(
    key: Pick<TrustedKey, "id" | "name" | "pem">,
    by?: Actor,
  ): Promise<{ readonly created: boolean; readonly key: TrustedKey }>;
  /** Throws `not_found`. */
  removeKey(id: string, by?: Actor): Promise<TrustedKey>;
  /** The tenant's own policy; undefined where the instance's applies. */
  policyOf(tenantId: TenantId): Promise<SignaturePolicy | undefined>;
  /** Undefined returns to the instance's policy. Throws `conflict` while the tenant is being removed. */
  setPolicy(tenantId: TenantId, policy: SignaturePolicy | undefined, by?: Actor): Promise<void>;
  admission(checksum: string): Promise<Admission | undefined>;
  admissions(page: PageRequest): Promise<Page<Admission>>;
  /** Admits contents; a repetition changes nothing, and `created` is false. */
  admit(
    admission: Pick<Admission, "checksum" | "note">,
    by?: Actor,
  ): Promise<{ readonly created: boolean; readonly admission: Admission }>;
  /** Throws `not_found`. */
  removeAdmission(checksum: string, by?: Actor): Promise<Admission>;
  /** Newest first. */
  signaturesOf(identifier: string): Promise<readonly StoredSignature[]>;
  /** Answers whether it is new. */
  addSignature(signature: Omit<StoredSignature, "createdAt">, by?: Actor): Promise<boolean>;
  /** Records the decision with the installation, if that has the identifier of the decision. */
  record(id: InstallationId, decision: TrustDecision): Promise<void>;
}
