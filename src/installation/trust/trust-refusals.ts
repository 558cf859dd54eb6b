/** Refusals and warnings of untrusted packages: what is wanted, and the commands that help. */
import { Fault } from "../../domain/fault.ts";
import type {
  SignatureCategory,
  SignaturePolicy,
  TrustDecision,
  TrustedKey,
  TrustVerdict,
} from "../../domain/trust.ts";
import type { Accepted } from "../../store/contracts/answers.ts";

export interface Refusal {
  readonly identifier: string;
  readonly checksum: string;
  readonly policy: SignaturePolicy;
  readonly policyFrom: TrustDecision["policyFrom"];
  /** Keys whose signatures count. */
  readonly keys: readonly TrustedKey[];
  /** Category that the signature must have. */
  readonly category: SignatureCategory | undefined;
}

const ADD_KEY = "berth trust add PUBLIC-KEY.pem";
const admit = (checksum: string) => `berth trust admit ${checksum}`;

/** Refuses a package that is not signed as the policy requires. */
export function signatureRequired(verdict: TrustVerdict, refusal: Refusal): Fault {
  const { policyFrom, checksum } = refusal;
  const commands = [ADD_KEY, admit(checksum)];
  const message =
    `${describe(verdict, refusal)}, and the policy of ${OWNERS[policyFrom]} is require. ` +
    `Wanted: ${wanted(refusal)}. An operator trusts another key with \`${ADD_KEY}\`, ` +
    `or admits this package alone with \`${admit(checksum)}\`.`;
  return new Fault("signature_required", message, { details: details(refusal, commands) });
}

/** Refuses a package with the vendor's name but not its signature, under any policy. */
export function vendorSignatureRequired(verdict: TrustVerdict, refusal: Refusal): Fault {
  const commands = [ADD_KEY, admit(refusal.checksum)];
  const message =
    `${describe(verdict, refusal)}, and its author's name is the vendor's. Wanted: ${wanted(refusal)}. ` +
    "BERTH_SIGNATURE_LANGGENIUS=no turns this check off.";
  return new Fault("signature_required", message, {
    details: { ...details(refusal, commands), refused_for: "vendor" },
  });
}

/** Refuses a signature that no trusted key made over these contents. */
export function signatureWrong(refusal: Refusal): Fault {
  const message =
    `${describe("wrong", refusal)}: it was changed after it ` +
    `was signed, or signed with another key. Wanted: ${wanted(refusal)}. ` +
    `An operator trusts another key with \`${ADD_KEY}\`.`;
  return new Fault("signature_wrong", message, { details: details(refusal, [ADD_KEY]) });
}

/** One sentence for the policy `warn`. */
export function warningOf(verdict: TrustVerdict, refusal: Refusal): string {
  return `${describe(verdict, refusal)}; the policy require would refuse it.`;
}

/**
 * A repeated install answers the existing installation. Where the request asks for a verified signature, throws
 * `signature_required` unless the existing one was verified or is about to be.
 */
export function checkRepeated({ installation, task, created }: Accepted): void {
  const { trust, identifier } = installation;
  const isAsked = task.finishedAt === undefined && task.input["verifySignature"] === true;
  const isTrusted = trust?.verdict === "verified" || trust?.verdict === "admitted";
  if (created || isAsked || isTrusted) return;
  const message =
    `${identifier} is installed already, or about to be, without a verified signature: uninstall it, then ` +
    "install it again.";
  throw new Fault("signature_required", message, { details: { field: "identifier", value: identifier } });
}

const OWNERS = { instance: "this instance", tenant: "the tenant", request: "the request" } as const;

function describe(verdict: TrustVerdict, { identifier, category }: Refusal): string {
  switch (verdict) {
    case "category_missing":
      return `${identifier} is signed by a trusted key, but not with the category ${category}, which its author's name needs`;
    case "wrong":
      return `${identifier} carries a signature that no trusted key made over its contents`;
    case "unjudged":
      return `${identifier} is signed, but Berth trusts no key that could verify it`;
    case "unsigned":
      return `${identifier} is not signed by a trusted key`;
    case "verified":
    case "admitted":
      return `${identifier} is trusted`;
    default:
      return verdict satisfies never;
  }
}

function wanted({ keys, category }: Refusal): string {
  const by =
    keys.length === 0
      ? "a signature by a trusted key, of which there is none yet"
      : `a signature by ${keys.map(({ name, id }) => `${name} (${id.slice(0, 16)})`).join(" or ")}`;
  return category === undefined ? by : `${by}, with the category ${category}`;
}

function details({ identifier, keys, category, policy, policyFrom }: Refusal, commands: readonly string[]) {
  return {
    field: "signature",
    value: identifier,
    accepted: wanted({ identifier, checksum: "", keys, category, policy, policyFrom }),
    policy,
    policy_from: policyFrom,
    keys: keys.map(({ id, name }) => ({ id, name })),
    category: category ?? null,
    commands,
  };
}
