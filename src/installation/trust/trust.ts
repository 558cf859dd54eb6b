/**
 * Whether a Package may come in and be installed, by its signature, the operator's admissions and the policy. Decided
 * when an archive comes and again, from what is stored and trusted then, whenever one is made ready to run.
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
  /** The instance's; a Tenant may have its own. */
  readonly policy: SignaturePolicy;
  /** Trusted beside those of the Store. */
  readonly keys: readonly TrustedKey[];
  /** What a signed package without a category's record counts as: packages of the vendor's early days have none. */
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
  /** As read from the archive now; its contents are those of its identifier. */
  readonly read: ReadPackage;
  /** Undefined: the operator's own, by the instance's policy. */
  readonly tenantId: TenantId | undefined;
  /** True makes the policy `require` for this request; nothing makes it looser. */
  readonly verifySignature?: boolean;
  /** True refuses what bears the vendor's name without its signature, whatever the policy, where that is checked at all. */
  readonly isVendorHeld?: boolean;
  /**
   * `upload`: an archive that somebody brings; a wrong signature on it is refused whatever is known of its contents.
   * `store`: the bytes that are kept, for which signatures that came later and admissions speak too.
   */
  readonly from: "upload" | "store";
}

type DescribedPackage = Pick<ReadPackage, "identifier" | "checksum" | "author">;

export interface PackageTrust {
  /** Of keys that are trusted now, newest first. */
  readonly signatures: readonly (StoredSignature & { readonly keyName: string })[];
  /** One sentence, where the policy is `warn` and not content. */
  readonly warning: string | undefined;
}

export interface Trust {
  /** Throws `signature_required` or `signature_wrong`; both say what would help. */
  decide(request: TrustRequest): Promise<TrustDecision>;
  /** What can be said of an archive that is kept, whatever the policy makes of it. */
  judge(read: ReadPackage): Promise<Judgement>;
  /** Keeps the signature of an archive that came, where a trusted key made it; the bytes that are stored stay. */
  keepSignature(read: ReadPackage, by?: Actor): Promise<void>;
  /** The same for signatures that came beside the archive. */
  keepSignatures(
    read: ReadPackage,
    signatures: readonly Pick<StoredSignature, "keyId" | "time" | "signature" | "entries">[],
    by?: Actor,
  ): Promise<void>;
  /** Of a stored Package, by what was kept of its signatures: its archive is not read. */
  describe(pkg: DescribedPackage, tenantId: TenantId | undefined): Promise<PackageTrust>;
  /** With the Installation, as long as that has the identifier which was decided about. */
  record(id: InstallationId, decision: TrustDecision): Promise<void>;
  /** All keys whose signatures count now: those of the settings first. */
  trustedKeys(): Promise<readonly TrustedKey[]>;
  readonly settings: TrustSettings;
}

export interface Judgement {
  readonly verdict: TrustVerdict;
  /** Of the signature, where one counts. */
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

/** Its Declaration says from then on whether a trusted key had signed it when it first came. */
export function withVerdict(read: ReadPackage, { verdict }: Pick<Judgement, "verdict">): ReadPackage {
  return { ...read, declaration: { ...read.declaration, verified: verdict === "verified" } };
}

/** A signature that one of the keys made over the contents in question. */
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
  // Without a key to tell it by, a signature may be the vendor's.
  if (isVendorHeld && wanted !== undefined && !isContent && verdict !== "unjudged")
    throw vendorSignatureRequired(verdict, refusal);
  return {
    ...{ identifier, verdict, policy, policyFrom },
    ...(verified !== undefined && saidBy(verified)),
    ...(policy === "warn" && !isContent && { warning: warningOf(verdict, refusal) }),
    decidedAt: new Date(clock.now()).toISOString(),
  };
}

interface Judged {
  readonly verdict: TrustVerdict;
  readonly verified: Verified | undefined;
  /** The category that the author's name needs. */
  readonly wanted: SignatureCategory | undefined;
  /** The archive's own signature is none of a trusted key. */
  readonly isWrong: boolean;
  /** By a trusted key or by the operator. */
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
    // one with the category that is wanted speaks before one without
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

function saidBy({ key, category, time }: Verified) {
  const signedAt = new Date(time * 1000);
  return {
    ...{ keyId: key.id, keyName: key.name },
    ...(category !== undefined && { category }),
    // A time that no calendar has is the signer's own affair: nothing depends on it.
    ...(!Number.isNaN(signedAt.getTime()) && { signedAt: signedAt.toISOString() }),
  };
}

/** The archive's own signature, where one of the keys made it. */
function findSignature(
  settings: TrustSettings,
  { signature: own, entries, record }: SignatureEvidence,
  keys: readonly TrustedKey[],
): Verified | undefined {
  const key = own === undefined ? undefined : findSigner(own, entries, keys);
  if (own === undefined || key === undefined) return undefined;
  return { key, category: categoryOf(record, settings), ...own, entries };
}

/** A signature that came with another archive of the same contents, made anew over those at hand. */
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
