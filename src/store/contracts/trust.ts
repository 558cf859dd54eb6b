/** The part of the Store contract that is about trust. Every change is audited in its own transaction. */
import type { Actor } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { SignatureCategory, SignaturePolicy, TrustDecision, TrustedKey } from "../../domain/trust.ts";
import type { Page, PageRequest } from "./answers.ts";

/** Contents that the operator lets in unsigned. */
export interface Admission {
  /** As in the Package's identifier. */
  readonly checksum: string;
  readonly note: string;
  readonly createdAt: Date;
}

/** A signature that a trusted key had made over a Package's contents when it came. */
export interface StoredSignature {
  readonly identifier: string;
  readonly keyId: string;
  readonly category: SignatureCategory | undefined;
  /** Unix time in seconds. */
  readonly time: number;
  /** Base64. */
  readonly signature: string;
  /** Paths in the order that was signed; all those of the Package. */
  readonly entries: readonly string[];
  readonly createdAt: Date;
}

export interface TrustRows {
  /** All keys that were added, oldest first. */
  keys(): Promise<readonly TrustedKey[]>;
  /** The same key again changes nothing: `created` is false then, and the name is the first one. */
  addKey(
    key: Pick<TrustedKey, "id" | "name" | "pem">,
    by?: Actor,
  ): Promise<{ readonly created: boolean; readonly key: TrustedKey }>;
  /** Throws `not_found`. */
  removeKey(id: string, by?: Actor): Promise<TrustedKey>;
  /** Undefined: the instance's. */
  policyOf(tenantId: TenantId): Promise<SignaturePolicy | undefined>;
  /** Undefined: back to the instance's. Throws `conflict` while the Tenant is being removed. */
  setPolicy(tenantId: TenantId, policy: SignaturePolicy | undefined, by?: Actor): Promise<void>;
  admission(checksum: string): Promise<Admission | undefined>;
  admissions(page: PageRequest): Promise<Page<Admission>>;
  /** The same again changes nothing: `created` is false then. */
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
  /** Recorded with the Installation as long as that has the identifier which was decided about. */
  record(id: InstallationId, decision: TrustDecision): Promise<void>;
}
