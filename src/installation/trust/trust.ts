/**
 * Decides whether a package may be uploaded and installed, by its signature, the operator's admissions and the policy:
 * when an archive is uploaded, and again, by what is stored and trusted then, whenever one is made ready to run.
 */
import type { Actor } from "../../domain/audit.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import {
  type SignatureCategory,
  type SignaturePolicy,
  type TrustDecision,
  type TrustedKey,
  type TrustVerdict,
  VENDOR,
} from "../../domain/trust.ts";
import type { ReadPackage } from "../../packages/read-package.ts";
import {
  type CategoryRecord,
  findSigner,
  type SignatureEvidence,
  type SignedEntry,
} from "../../packages/signature/evidence.ts";
import type { StoredSignature } from "../../store/contracts/trust.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { signatureRequired, signatureWrong, vendorSignatureRequired, warningOf } from "./trust-refusals.ts";

export interface TrustSettings {
  /** Policy of the instance; a tenant may have its own. */
  readonly policy: SignaturePolicy;
  /** Keys of the settings, trusted beside those of the store. */
  readonly keys: readonly TrustedKey[];
  /** Category of a signed package without a record of it: early packages of the vendor have none. */
  readonly missingCategory: SignatureCategory | undefined;
  /** Whether a package of the author `langgenius`, in any case, needs the category of that name. */
  readonly isVendorChecked: boolean;
}

export interface TrustDeps {
  readonly store: Pick<Store, "trust">;
  readonly clock: Clock;
  readonly settings: TrustSettings;
}

export interface TrustRequest {
  /** As read from the archive now, and checked against its identifier. */
  readonly read: ReadPackage;
  /** Undefined for the operator's own packages, under the instance's policy. */
  readonly tenantId: TenantId | undefined;
  /** True makes the policy `require` for this request; nothing makes it looser. */
  readonly verifySignature?: boolean;
  /** True refuses, whatever the policy, a package with the vendor's name but not its signature, where `isVendorChecked`. */
  readonly isVendorHeld?: boolean;
  /**
   * `upload`: a new archive; a wrong signature on it is refused whatever is known of its contents. `store`: the stored
   * bytes, for which signatures that came later and admissions count too.
   */
  readonly from: "upload" | "store";
}

type DescribedPackage = Pick<ReadPackage, "identifier" | "checksum" | "author">;

export interface PackageTrust {
  /** Signatures by keys that are trusted now, newest first. */
  readonly signatures: readonly (StoredSignature & { readonly keyName: string })[];
  /** One sentence, where the policy is `warn` and the package does not meet it. */
  readonly warning: string | undefined;
}

export interface Trust {
  /** Throws `signature_required` or `signature_wrong`; both name what is wanted and the commands that help. */
  decide(request: TrustRequest): Promise<TrustDecision>;
  /** The verdict on a stored archive, without a policy. */
  judge(read: ReadPackage): Promise<Judgement>;
  /** Stores the signature of an uploaded archive, where a trusted key made it; the stored bytes stay. */
  keepSignature(read: ReadPackage, by?: Actor): Promise<void>;
  /** Stores signatures that came beside the archive, as `keepSignature` does. */
  keepSignatures(
    read: ReadPackage,
    signatures: readonly Pick<StoredSignature, "keyId" | "time" | "signature" | "entries">[],
    by?: Actor,
  ): Promise<void>;
  /** Describes a stored package by its stored signatures, without reading its archive. */
  describe(pkg: DescribedPackage, tenantId: TenantId | undefined): Promise<PackageTrust>;
  /** Records a decision with the installation, if that has the identifier of the decision. */
  record(id: InstallationId, decision: TrustDecision): Promise<void>;
  /** All keys whose signatures count now: those of the settings first. */
  trustedKeys(): Promise<readonly TrustedKey[]>;
  readonly settings: TrustSettings;
}

export interface Judgement {
  readonly verdict: TrustVerdict;
  /** Category of the signature, where one counts. */
  readonly category: SignatureCategory | undefined;
}

export function createTrust(deps: TrustDeps): Trust {
  const trustedKeys = async () => {
    const given = deps.settings.keys;
    const added = await deps.store.trust.keys();
    return [...given, ...added.filter(({ id }) => !given.some((key) => key.id === id))];
  };
  return {
    settings: deps.settings,
    trustedKeys,
    record: (id, decision) => deps.store.trust.record(id, decision),
    decide: async (request) => decide(deps, request, await trustedKeys()),
    judge: async (read) => {
      const { verdict, verified } = await judge(deps, read, await trustedKeys());
      return { verdict, category: verified?.category };
    },
    keepSignatures: async (read, signatures, by) => {
      const { identifier } = read;
      const keys = await trustedKeys();
      for (const came of signatures) {
        const stored = { ...came, identifier, category: undefined, createdAt: new Date(0) };
        const signed = verifyStored(stored, deps.settings, read.evidence, keys);
        if (signed === undefined) continue;
        const { key, category, signature, time, entries } = signed;
        await deps.store.trust.addSignature(
          { identifier, keyId: key.id, category, time, signature, entries: entries.map(({ path }) => path) },
          by,
        );
      }
    },
    describe: async (pkg, tenantId) => describePackage(deps, { pkg, tenantId }, await trustedKeys()),
    keepSignature: async (read, by) => {
      const signed = findSignature(deps.settings, read.evidence, await trustedKeys());
      if (signed === undefined) return;
      const { key, category, signature, time, entries } = signed;
      const { identifier } = read;
      const paths = entries.map(({ path }) => path);
      await deps.store.trust.addSignature(
        { identifier, keyId: key.id, category, time, signature, entries: paths },
        by,
      );
    },
  };
}

/** Records in the declaration whether a trusted key had signed the package at its first upload. */
export function withVerdict(read: ReadPackage, { verdict }: Pick<Judgement, "verdict">): ReadPackage {
  return { ...read, declaration: { ...read.declaration, verified: verdict === "verified" } };
}

/** A signature that one of the keys made over these contents. */
interface Verified {
  readonly key: TrustedKey;
  readonly category: SignatureCategory | undefined;
  readonly time: number;
  readonly signature: string;
  readonly entries: readonly SignedEntry[];
}

async function decide(
  { store, clock, settings }: TrustDeps,
  { read, tenantId, verifySignature = false, isVendorHeld = false, from }: TrustRequest,
  keys: readonly TrustedKey[],
): Promise<TrustDecision> {
  const { identifier, checksum } = read;
  const [ofTenant, judged] = await Promise.all([
    tenantId === undefined ? undefined : store.trust.policyOf(tenantId),
    judge({ store, settings }, read, keys),
  ]);
  const { verdict, verified, wanted, isWrong } = judged;
  const policy = verifySignature ? "require" : (ofTenant ?? settings.policy);
  const policyFrom = policyOrigin(policy, ofTenant, settings);
  const refusal = { identifier, checksum, policy, policyFrom, keys, category: wanted };
  const isContent = verdict === "verified" || verdict === "admitted";
  if (isWrong && policy !== "off" && (from === "upload" || !judged.isVouchedFor))
    throw signatureWrong(refusal);
  if (policy === "require" && !isContent) throw signatureRequired(verdict, refusal);
  // Without a key to verify it, a signature may be the vendor's.
  if (isVendorHeld && wanted !== undefined && !isContent && verdict !== "unjudged")
    throw vendorSignatureRequired(verdict, refusal);
  return {
    identifier,
    verdict,
    policy,
    policyFrom,
    ...(verified !== undefined && signerOf(verified)),
    ...(policy === "warn" && !isContent && { warning: warningOf(verdict, refusal) }),
    decidedAt: new Date(clock.now()).toISOString(),
  };
}

interface Judged {
  readonly verdict: TrustVerdict;
  readonly verified: Verified | undefined;
  /** The category that the author's name requires. */
  readonly wanted: SignatureCategory | undefined;
  /** No trusted key made the archive's own signature. */
  readonly isWrong: boolean;
  /** A trusted key has signed the contents, or the operator has admitted them. */
  readonly isVouchedFor: boolean;
}

async function judge(
  { store, settings }: Pick<TrustDeps, "store" | "settings">,
  { identifier, checksum, author, evidence }: ReadPackage,
  keys: readonly TrustedKey[],
): Promise<Judged> {
  const [later, admission] = await Promise.all([
    store.trust.signaturesOf(identifier),
    store.trust.admission(checksum),
  ]);
  const own = findSignature(settings, evidence, keys);
  const isSigned = evidence.signature !== undefined;
  const isWrong = isSigned && own === undefined && keys.length > 0;
  const wanted = categoryWanted(author, settings);
  const verified = [own, ...later.map((it) => verifyStored(it, settings, evidence, keys))]
    .filter((it) => it !== undefined)
    // A signature with the required category comes first.
    .toSorted((a, b) => Number(b.category === wanted) - Number(a.category === wanted))
    .at(0);
  const isAdmitted = admission !== undefined;
  const verdict = verdictOf({ verified, wanted, isAdmitted, isWrong, isSigned });
  return { verdict, verified, wanted, isWrong, isVouchedFor: verified !== undefined || isAdmitted };
}

async function describePackage(
  { store, settings }: TrustDeps,
  { pkg, tenantId }: { readonly pkg: DescribedPackage; readonly tenantId: TenantId | undefined },
  keys: readonly TrustedKey[],
): Promise<PackageTrust> {
  const { identifier, checksum, author } = pkg;
  const [ofTenant, stored, admission] = await Promise.all([
    tenantId === undefined ? undefined : store.trust.policyOf(tenantId),
    store.trust.signaturesOf(identifier),
    store.trust.admission(checksum),
  ]);
  const policy = ofTenant ?? settings.policy;
  const category = categoryWanted(author, settings);
  const signatures = stored.flatMap((signature) => {
    const key = keys.find(({ id }) => id === signature.keyId);
    return key === undefined ? [] : [{ ...signature, keyName: key.name }];
  });
  const isSigned = signatures.some((it) => category === undefined || it.category === category);
  if (policy !== "warn" || isSigned || admission !== undefined) return { signatures, warning: undefined };
  const verdict = signatures.length > 0 ? "category_missing" : "unsigned";
  const policyFrom = ofTenant === undefined ? "instance" : "tenant";
  const refusal = { identifier, checksum, policy, policyFrom, keys, category } as const;
  return { signatures, warning: warningOf(verdict, refusal) };
}

function policyOrigin(
  policy: SignaturePolicy,
  ofTenant: SignaturePolicy | undefined,
  settings: TrustSettings,
): TrustDecision["policyFrom"] {
  if (policy === ofTenant) return "tenant";
  return ofTenant === undefined && policy === settings.policy ? "instance" : "request";
}

function categoryWanted(author: string, { isVendorChecked }: TrustSettings): SignatureCategory | undefined {
  return isVendorChecked && author.toLowerCase() === VENDOR ? VENDOR : undefined;
}

function verdictOf(found: {
  readonly verified: Verified | undefined;
  readonly wanted: SignatureCategory | undefined;
  readonly isAdmitted: boolean;
  readonly isWrong: boolean;
  readonly isSigned: boolean;
}): TrustVerdict {
  const { verified, wanted, isAdmitted, isWrong, isSigned } = found;
  if (verified !== undefined && (wanted === undefined || verified.category === wanted)) return "verified";
  if (isAdmitted) return "admitted";
  if (verified !== undefined) return "category_missing";
  if (isWrong) return "wrong";
  return isSigned ? "unjudged" : "unsigned";
}

function signerOf({ key, category, time }: Verified) {
  const signedAt = new Date(time * 1000);
  return {
    keyId: key.id,
    keyName: key.name,
    ...(category !== undefined && { category }),
    // A signer may claim an impossible time: nothing depends on it.
    ...(!Number.isNaN(signedAt.getTime()) && { signedAt: signedAt.toISOString() }),
  };
}

/** Verifies the archive's own signature; undefined where none of the keys made it. */
function findSignature(
  settings: TrustSettings,
  { signature: own, entries, record }: SignatureEvidence,
  keys: readonly TrustedKey[],
): Verified | undefined {
  const key = own === undefined ? undefined : findSigner(own, entries, keys);
  if (own === undefined || key === undefined) return undefined;
  return { key, category: categoryOf(record, settings), ...own, entries };
}

/** Verifies a signature that came with another archive of the same contents against the contents of this one. */
function verifyStored(
  { keyId, signature, time, entries: paths }: StoredSignature,
  settings: TrustSettings,
  { entries, record }: SignatureEvidence,
  keys: readonly TrustedKey[],
): Verified | undefined {
  const byPath = new Map(entries.map((entry) => [entry.path, entry]));
  const ordered = paths.map((path) => byPath.get(path)).filter((entry) => entry !== undefined);
  if (ordered.length !== entries.length || new Set(ordered).size !== entries.length) return undefined;
  const own = { signature, time };
  const key = findSigner(
    own,
    ordered,
    keys.filter(({ id }) => id === keyId),
  );
  if (key === undefined) return undefined;
  return { key, category: categoryOf(record, settings), ...own, entries: ordered };
}

function categoryOf(
  record: CategoryRecord,
  { missingCategory }: TrustSettings,
): SignatureCategory | undefined {
  if (record === "missing") return missingCategory;
  return record === "unknown" ? undefined : record;
}
