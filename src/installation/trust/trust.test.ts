import { generateKeyPairSync, sign } from "node:crypto";
import { describe, expect, test } from "vitest";
import { partialRows } from "../../../test/harness/doubles/partial-rows.ts";
import { SIGNER } from "../../../test/support/test-key.ts";
import { TenantId } from "../../domain/ids.ts";
import type { SignaturePolicy, TrustedKey } from "../../domain/trust.ts";
import type { ReadPackage } from "../../packages/read-package.ts";
import { type CategoryRecord, type SignedEntry, signedData } from "../../packages/signature/evidence.ts";
import { parsePublicKey } from "../../packages/signature/keys.ts";
import type { Admission, StoredSignature, TrustRows } from "../../store/contracts/trust.ts";
import { createTrust, type TrustRequest, type TrustSettings } from "./trust.ts";

const CHECKSUM = "ab".repeat(32);
const IDENTIFIER = `acme/echo:1.0.0@${CHECKSUM}`;
const TENANT = TenantId.parse("11111111-1111-4111-8111-111111111111");
const TIME = 1_700_000_000;
const ENTRIES: readonly SignedEntry[] = [
  { path: "main.py", sha256: "11".repeat(32) },
  { path: "manifest.yaml", sha256: "22".repeat(32) },
];

const aKey = (pem: string, name: string): TrustedKey => ({
  ...parsePublicKey(pem, "key"),
  name,
  origin: "api",
  createdAt: new Date(0),
});
const KEY = aKey(SIGNER.publicKey, "acme");
const OTHER = aKey(
  generateKeyPairSync("rsa", { modulusLength: 2048 })
    .publicKey.export({ type: "spki", format: "pem" })
    .toString(),
  "other",
);

function signatureOver(entries: readonly SignedEntry[], time = TIME): string {
  return sign("sha256", signedData(entries, time), SIGNER.privateKey).toString("base64");
}

interface Situation {
  readonly author?: string;
  /** `wrong`: over other contents. */
  readonly signed?: "right" | "wrong";
  readonly record?: CategoryRecord;
  readonly keys?: readonly TrustedKey[];
  readonly policy?: SignaturePolicy;
  readonly ofTenant?: SignaturePolicy;
  readonly admitted?: boolean;
  readonly stored?: readonly StoredSignature[];
  readonly request?: Partial<TrustRequest>;
  readonly settings?: Partial<TrustSettings>;
}

function pkg({ author = "acme", signed, record = "missing" }: Situation): ReadPackage {
  const over = signed === "right" ? ENTRIES : ENTRIES.toReversed();
  const signature = signed === undefined ? undefined : { signature: signatureOver(over), time: TIME };
  const evidence = { signature, entries: ENTRIES, record };
  // Of a package that was read, a decision needs no more.
  const read: Pick<ReadPackage, "identifier" | "checksum" | "author" | "evidence"> = {
    identifier: IDENTIFIER,
    checksum: CHECKSUM,
    author,
    evidence,
  };
  return read as ReadPackage;
}

function trustIn(situation: Situation) {
  const { keys = [KEY], policy = "warn", ofTenant, admitted = false, stored = [], settings } = situation;
  const added: unknown[] = [];
  const admission: Admission = { checksum: CHECKSUM, note: "", createdAt: new Date(0) };
  const rows = partialRows<TrustRows>("trust", {
    keys: async () => keys,
    policyOf: async () => ofTenant,
    admission: async (checksum) => (admitted && checksum === CHECKSUM ? admission : undefined),
    signaturesOf: async (identifier) => stored.filter((it) => it.identifier === identifier),
    addSignature: async (signature) => added.push(signature) > 0,
  });
  const trust = createTrust({
    store: { trust: rows },
    clock: { now: () => 0 } as never,
    settings: { policy, keys: [], missingCategory: undefined, isVendorChecked: true, ...settings },
  });
  return { trust, added };
}

async function decide(situation: Situation) {
  const request = { read: pkg(situation), tenantId: TENANT, from: "upload" as const, ...situation.request };
  return trustIn(situation).trust.decide(request);
}

/** The verdict with a `!` where it comes with a warning, or the code of the refusal. */
async function outcome(situation: Situation): Promise<string> {
  return decide(situation).then(
    ({ verdict, warning }) => (warning === undefined ? verdict : `${verdict}!`),
    (error: { code: string }) => error.code,
  );
}

const POLICIES = ["off", "warn", "require"] as const;
const outcomes = async (situation: Situation) =>
  Promise.all(POLICIES.map((policy) => outcome({ ...situation, policy })));

describe("under the policies off, warn and require", () => {
  test.each<[string, Situation, readonly string[]]>([
    ["signed by a trusted key", { signed: "right" }, ["verified", "verified", "verified"]],
    ["unsigned", {}, ["unsigned", "unsigned!", "signature_required"]],
    ["unsigned and admitted", { admitted: true }, ["admitted", "admitted", "admitted"]],
    ["wrongly signed", { signed: "wrong" }, ["wrong", "signature_wrong", "signature_wrong"]],
    [
      "signed by a key that is not trusted",
      { signed: "right", keys: [OTHER] },
      ["wrong", "signature_wrong", "signature_wrong"],
    ],
    [
      "wrongly signed and admitted",
      { signed: "wrong", admitted: true },
      ["admitted", "signature_wrong", "signature_wrong"],
    ],
    [
      "signed while no key is trusted",
      { signed: "right", keys: [] },
      ["unjudged", "unjudged!", "signature_required"],
    ],
    [
      "signed while no key is trusted, and admitted",
      { signed: "right", keys: [], admitted: true },
      ["admitted", "admitted", "admitted"],
    ],
  ])("a package that is %s", async (_what, situation, expected) => {
    expect(await outcomes(situation)).toEqual(expected);
  });

  test.each<[string, Situation, readonly string[]]>([
    ["its category", { record: "langgenius" }, ["verified", "verified", "verified"]],
    [
      "another category",
      { record: "community" },
      ["category_missing", "category_missing!", "signature_required"],
    ],
    ["no category", {}, ["category_missing", "category_missing!", "signature_required"]],
    [
      "an unknown category",
      { record: "unknown", settings: { missingCategory: "langgenius" } },
      ["category_missing", "category_missing!", "signature_required"],
    ],
    [
      "no category, if that counts as langgenius",
      { settings: { missingCategory: "langgenius" } },
      ["verified", "verified", "verified"],
    ],
    [
      "no category, if categories are not checked",
      { settings: { isVendorChecked: false } },
      ["verified", "verified", "verified"],
    ],
    ["no category, and admitted", { admitted: true }, ["admitted", "admitted", "admitted"]],
  ])("a package of langgenius, in upper or lower case, with %s", async (_what, situation, expected) => {
    for (const author of ["langgenius", "LangGenius"])
      expect(await outcomes({ ...situation, author, signed: "right" })).toEqual(expected);
  });
});

describe("the policy", () => {
  test.each<[SignaturePolicy, SignaturePolicy | undefined, boolean, SignaturePolicy, string]>([
    ["warn", undefined, false, "warn", "instance"],
    ["require", undefined, false, "require", "instance"],
    ["require", "off", false, "off", "tenant"],
    ["off", "require", false, "require", "tenant"],
    ["off", undefined, true, "require", "request"],
    ["warn", "off", true, "require", "request"],
    ["require", undefined, true, "require", "instance"],
    ["off", "require", true, "require", "tenant"],
  ])(
    "for the instance %s, the tenant %s and verifySignature %s is %s",
    async (policy, ofTenant, asked, holds, from) => {
      const base = {
        policy,
        ...(ofTenant !== undefined && { ofTenant }),
        request: { verifySignature: asked },
      };
      const { policy: found, policyFrom } = await decide({ ...base, signed: "right" });
      expect([found, policyFrom]).toEqual([holds, from]);
      expect(await outcome(base)).toMatch(holds === "require" ? /^signature_required$/ : /^unsigned/);
    },
  );

  test("of a tenant does not apply to the operator's own uploads", async () => {
    const asked = { ofTenant: "require", policy: "off", request: { tenantId: undefined } } as const;
    expect(await outcome(asked)).toBe("unsigned");
  });
});

describe("a stored package", () => {
  const later: StoredSignature = {
    identifier: IDENTIFIER,
    keyId: KEY.id,
    category: undefined,
    time: TIME,
    createdAt: new Date(0),
    signature: signatureOver(ENTRIES.toReversed()),
    entries: ENTRIES.toReversed().map(({ path }) => path),
  };
  const request = { from: "store" } as const;
  const required = { policy: "require", request } as const;

  test("is verified by a signature that came later, in the order that was signed", async () => {
    expect(await outcome({ ...required, stored: [later] })).toBe("verified");
    expect(await outcome({ ...required, stored: [later], signed: "wrong" })).toBe("verified");
    // an archive that somebody brings with a wrong signature is refused all the same
    expect(await outcome({ policy: "require", stored: [later], signed: "wrong" })).toBe("signature_wrong");
    expect(await outcome({ policy: "require", stored: [later] })).toBe("verified");
  });

  test.each<[string, Partial<StoredSignature>]>([
    ["of another key", { keyId: OTHER.id }],
    ["in another order", { entries: ENTRIES.map(({ path }) => path) }],
    ["over fewer files", { entries: ["main.py"] }],
    ["over one file twice", { entries: ["main.py", "main.py"] }],
    ["over other files", { entries: ["main.py", "other.py"] }],
    ["of another package", { identifier: `acme/other:1.0.0@${CHECKSUM}` }],
  ])("is not verified by a signature %s", async (_what, changes) => {
    expect(await outcome({ ...required, stored: [{ ...later, ...changes }] })).toBe("signature_required");
  });

  test("is no longer verified once its key is no longer trusted", async () => {
    expect(await outcome({ ...required, stored: [later], keys: [OTHER] })).toBe("signature_required");
  });

  test("with a wrong signature is accepted if its contents are admitted", async () => {
    expect(await outcome({ ...required, signed: "wrong" })).toBe("signature_wrong");
    expect(await outcome({ ...required, signed: "wrong", admitted: true })).toBe("admitted");
  });
});

test("a decision names policy, key, category and the time that the signer gave", async () => {
  expect(await decide({ signed: "right", record: "partner" })).toEqual({
    identifier: IDENTIFIER,
    verdict: "verified",
    policy: "warn",
    policyFrom: "instance",
    keyId: KEY.id,
    keyName: "acme",
    category: "partner",
    signedAt: "2023-11-14T22:13:20.000Z",
    decidedAt: "1970-01-01T00:00:00.000Z",
  });
});

describe("a refusal", () => {
  test("names the keys that are wanted, and the commands that would help", async () => {
    const refused = decide({ policy: "require", keys: [KEY, OTHER] });
    await expect(refused).rejects.toMatchObject({
      message: expect.stringMatching(
        new RegExp(
          `is not signed by a trusted key, and the policy of this instance is require.*acme \\(${KEY.id.slice(0, 16)}\\) or other`,
        ),
      ),
      details: {
        keys: [
          { id: KEY.id, name: "acme" },
          { id: OTHER.id, name: "other" },
        ],
        category: null,
        commands: ["berth trust add PUBLIC-KEY.pem", `berth trust admit ${CHECKSUM}`],
      },
    });
  });

  test("names the category that is wanted", async () => {
    await expect(
      decide({ policy: "require", author: "langgenius", signed: "right", record: "community" }),
    ).rejects.toMatchObject({
      message: expect.stringContaining("not with the category langgenius"),
      details: { category: "langgenius" },
    });
  });

  test("of a wrong signature names the trusted keys and the command that adds a key", async () => {
    await expect(decide({ signed: "wrong" })).rejects.toMatchObject({
      message: expect.stringMatching(/acme.*`berth trust add PUBLIC-KEY\.pem`/),
      details: { keys: [{ id: KEY.id, name: "acme" }], commands: ["berth trust add PUBLIC-KEY.pem"] },
    });
  });
});

test("keys of the settings are trusted in addition to the added keys, once each", async () => {
  const ofSettings = { ...KEY, name: "from a file", origin: "settings" } as const;
  const { trust } = trustIn({ keys: [KEY, OTHER], settings: { keys: [ofSettings] } });
  expect((await trust.trustedKeys()).map(({ name }) => name)).toEqual(["from a file", "other"]);
});

describe("a signature that comes with an archive", () => {
  test("is kept with key, category, time and the order that was signed", async () => {
    const situation = { signed: "right", record: "community" } as const;
    const { trust, added } = trustIn(situation);
    await trust.keepSignature(pkg(situation));
    expect(added).toEqual([
      {
        identifier: IDENTIFIER,
        keyId: KEY.id,
        category: "community",
        time: TIME,
        signature: signatureOver(ENTRIES),
        entries: ["main.py", "manifest.yaml"],
      },
    ]);
  });

  test.each<[string, Situation]>([
    ["missing", {}],
    ["wrong", { signed: "wrong" }],
    ["made with an untrusted key", { signed: "right", keys: [OTHER] }],
  ])("is not kept if it is %s", async (_what, situation) => {
    const { trust, added } = trustIn(situation);
    await trust.keepSignature(pkg(situation));
    expect(added).toEqual([]);
  });
});
