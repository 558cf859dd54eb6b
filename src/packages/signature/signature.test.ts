import { createHash, generateKeyPairSync } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { SIGNER } from "../../../test/support/test-key.ts";
import { rawZip, temporaryFolder, zipOf } from "../../../test/support/test-zip.ts";
import { isFault } from "../../domain/fault.ts";
import type { SignatureCategory } from "../../domain/trust.ts";
import { openArchive } from "../archive/archive.ts";
import { checksumOf, digestsOf } from "../archive/checksum.ts";
import { DEFAULT_READ_OPTIONS } from "../read-package.ts";
import { formatSignatureComment, parseSignatureComment } from "./comment.ts";
import {
  CATEGORY_RECORD,
  findSigner,
  formatRecord,
  readEvidence,
  type SignatureEvidence,
  signedData,
} from "./evidence.ts";
import { parsePrivateKey, parsePublicKey } from "./keys.ts";
import { type SignRequest, signArchive } from "./sign.ts";

const sha256 = (data: string | Buffer) => createHash("sha256").update(data).digest("hex");
const key = parsePrivateKey(SIGNER.privateKey, "key");
const signer = { name: "signer", ...parsePublicKey(SIGNER.publicKey, "key") };
const TIME = 1_700_000_000;
/** Not in the order of their names: the order of the archive is what is signed. */
const FILES = { "b.txt": "beta", "a.txt": "alpha", "main.py": "" };

let folder: Awaited<ReturnType<typeof temporaryFolder>>;
beforeAll(async () => {
  folder = await temporaryFolder();
});
afterAll(() => folder[Symbol.asyncDispose]());

let files = 0;
async function sign(bytes: Buffer, changes: Partial<SignRequest> = {}): Promise<string> {
  files += 1;
  const file = await folder.file(`${files}.difypkg`, bytes);
  const output = join(folder.path, `${files}.signed.difypkg`);
  const limits = DEFAULT_READ_OPTIONS;
  await signArchive({ file, output, key, category: undefined, time: TIME, limits, ...changes });
  return output;
}

interface Seen {
  readonly checksum: string;
  readonly evidence: SignatureEvidence;
  readonly comment: string;
}

async function look(file: string): Promise<Seen> {
  await using archive = await openArchive(file, DEFAULT_READ_OPTIONS);
  const digests = await digestsOf(archive);
  const evidence = await readEvidence(archive, digests);
  return { checksum: checksumOf(digests), evidence, comment: archive.comment.toString() };
}

function signerOf({ signature, entries }: SignatureEvidence): string | undefined {
  return signature === undefined ? undefined : findSigner(signature, entries, [signer])?.name;
}

describe("a package that another tool signed", () => {
  // Digests of its files, and of what that tool signed and named it: facts about it, none of its contents.
  const paths = {
    "_assets/icon.svg": "2856fb811fef4a709d46e2ddde41837f79077cd1a198eb711df1578e46cba971",
    "main.py": "8f1d8e24060e48a7e81c64dfa28908f85b552f101e96b4425e256c73fcb17a04",
    "manifest.yaml": "ee4aa3c2f67b664b962bd00085a6061feeeeca4c4501c4a539b41ef42cf8d708",
    "provider/test.py": "bd106efd828d1bad0579e982e9b2f74cd683dcdc3affaf582fb5af1e115eaf8c",
    "provider/test.yaml": "71f0537795630ae719605fcc27e1f63d1d6dd348603d7bb7500874d3fc919e32",
    "tools/test.py": "42562fe135566080061d6b28e4004ba0ec7c51abe6b0f4613a04d986d3ae34bc",
    "tools/test.yaml": "37dba83fbd7d205cfaf074d3f6a9273f3e5e784c45bd4109b4c6ca9b4cbacd3b",
  };

  test.each([
    [
      undefined,
      "0dc3a76209bde57fa434216e11ff0c5fc8e434d9783a3267a26a5d5407796602",
      "f47ca91dfa51d374e6dc4fa3b9b6839396e1e5bff0d6e846cc940c828f8f131b",
    ],
    [
      "langgenius",
      "306f50d3734280ede064847583e80bc6645e6ddd4a836a7ba51629529a98c7e4",
      "bbd8e669aa4e9f666b857993f1ed16d3677c167114e4db8d08e7c5ebb492d563",
    ],
    [
      "partner",
      "1107febd73e43d26088ae0a9d0d03e4e2bdff92dae196f39f12008dbbae3672a",
      "61ab0a73e58554b839821e8f93e2a15ce98dd760f96db0420378c0375a196b11",
    ],
    [
      "community",
      "2601694b2c3277185e39b6beb1afdf329a717d8db0acc8fd1c1f2e7601be367d",
      "462c429396552ac9880fa65e2b51bca966b83630522b79a330450b3c5b2ef385",
    ],
  ] as const)(
    "has the same signed data and checksum here, with the category %s",
    (category, data, checksum) => {
      const record = category === undefined ? {} : { [CATEGORY_RECORD]: sha256(formatRecord(category)) };
      const entries = Object.entries({ ...paths, ...record }).map(([path, digest]) => ({
        path,
        sha256: digest,
      }));
      expect(sha256(signedData(entries, TIME))).toBe(data);
      const digests = entries.map(({ path, sha256: hex }) => [path, Buffer.from(hex, "hex")] as const);
      expect(checksumOf(new Map(digests))).toBe(checksum);
    },
  );
});

describe("signing", () => {
  // Computed apart from this code: the data with another language, the signature with openssl.
  test.each<[SignatureCategory | undefined, string, string, string]>([
    [
      undefined,
      "03cfbe83c6bd8d2a416af628aec85bc14009632dd307c13dbc928d4ce5535f79",
      "e18f206476b2f623b3d40a76a74ec40a1d861346babab266b8579e5347482512",
      "234c611f60f5c2a910d6ea4f119dc6ebf62187979d574023a5771989c82f3bed",
    ],
    [
      "langgenius",
      "ddd8bc4301cd8f325a79f104617c3eeb7ef2bf087d4c6e166103e681081e521e",
      "3d46d3f3fd2c1d38544dda7788d78d3768e4d4eecf2b1ddf96cde1760dc282e4",
      "ae0c42c9ccf24524083e29a1bc1649757668656ffccea8ae635d83bca8fd2eb7",
    ],
    [
      "partner",
      "be8782e05fd764228bca2363ce03f637d24b86ee83d23692ec301da75cb60e83",
      "5d9aaaa6d9ad78c1ac94214cc981a55e213bc1e55ab4403e328581fafa722582",
      "45fa649e0b6750414848a3518602a5d58b20a7619192081070d06583f9bdd372",
    ],
    [
      "community",
      "ed916923ef0abba39469873641f2f0fa28ef063c34cb8b4a294e494a1b9a9b2f",
      "aeb7b0841c33c1969a526d934f1135ca92fec1851e2f4258ed554e34af751023",
      "6d7715d4c335641031fc3b00d4de17b8348242a0b467810bc48431cfe6aaf781",
    ],
  ])(
    "with the category %s gives the signature that openssl gives",
    async (category, data, signature, checksum) => {
      const seen = await look(await sign(zipOf(FILES), { category }));
      const { signature: made, entries, record } = seen.evidence;
      expect(entries.map(({ path }) => path)).toEqual([
        ...Object.keys(FILES),
        ...(category === undefined ? [] : [CATEGORY_RECORD]),
      ]);
      expect(sha256(signedData(entries, TIME))).toBe(data);
      expect(sha256(Buffer.from(made?.signature ?? "", "base64"))).toBe(signature);
      expect(seen.comment).toBe(`{"signature":"${made?.signature}","time":${TIME}}`);
      expect([seen.checksum, record]).toEqual([checksum, category ?? "missing"]);
      expect(signerOf(seen.evidence)).toBe("signer");
    },
  );

  test("without a category keeps the checksum of the package", async () => {
    const before = await look(await folder.file("before.difypkg", zipOf(FILES)));
    const after = await look(await sign(zipOf(FILES)));
    expect([before.evidence.signature, after.checksum]).toEqual([undefined, before.checksum]);
  });

  test("again replaces signature and category, and never doubles the record", async () => {
    const once = await sign(zipOf(FILES), { category: "partner" });
    const twice = await look(await sign(await readFile(once), { category: "community", time: TIME + 1 }));
    expect(twice.evidence.record).toBe("community");
    expect(twice.evidence.entries.filter(({ path }) => path === CATEGORY_RECORD)).toHaveLength(1);
    expect([twice.evidence.signature?.time, signerOf(twice.evidence)]).toEqual([TIME + 1, "signer"]);
    const kept = await look(await sign(await readFile(once)));
    expect([kept.evidence.record, signerOf(kept.evidence)]).toEqual(["partner", "signer"]);
  });

  test("in place replaces the file, and a failure leaves the file unchanged", async () => {
    const file = await folder.file("place.difypkg", zipOf(FILES));
    const request = {
      file,
      output: file,
      key,
      category: undefined,
      time: TIME,
      limits: DEFAULT_READ_OPTIONS,
    };
    await signArchive(request);
    expect(signerOf((await look(file)).evidence)).toBe("signer");
    const broken = await folder.file("broken.difypkg", Buffer.from("no zip at all"));
    await expect(signArchive({ ...request, file: broken, output: broken })).rejects.toMatchObject({
      code: "package_not_zip",
    });
    expect(await readFile(broken, "utf8")).toBe("no zip at all");
  });
});

describe("a signature", () => {
  test("is verified by its own key only", async () => {
    const other = generateKeyPairSync("rsa", { modulusLength: 2048 }).publicKey;
    const stranger = parsePublicKey(other.export({ type: "spki", format: "pem" }).toString(), "key");
    const { signature, entries } = (await look(await sign(zipOf(FILES)))).evidence;
    if (signature === undefined) throw new Error("nothing was signed");
    expect(findSigner(signature, entries, [stranger])).toBeUndefined();
    expect(findSigner(signature, entries, [])).toBeUndefined();
    expect(findSigner(signature, entries, [stranger, signer])).toBe(signer);
    expect(findSigner({ ...signature, time: TIME + 1 }, entries, [signer])).toBeUndefined();
    expect(findSigner(signature, entries.toReversed(), [signer])).toBeUndefined();
    expect(findSigner(signature, entries.slice(1), [signer])).toBeUndefined();
  });

  test("depends on the order of the files, but not on compression or modes", async () => {
    const { comment, evidence } = await look(await sign(zipOf(FILES)));
    const packed = (names: readonly (keyof typeof FILES)[], method: number, mode: number) =>
      withComment(rawZip(names.map((name) => ({ name, content: FILES[name], method, mode }))), comment);
    const other = await look(
      await folder.file("other.difypkg", packed(["b.txt", "a.txt", "main.py"], 0, 0o104755)),
    );
    expect([signerOf(other.evidence), other.evidence]).toEqual(["signer", evidence]);
    const sorted = await look(
      await folder.file("sorted.difypkg", packed(["a.txt", "b.txt", "main.py"], 8, 0o100644)),
    );
    expect(signerOf(sorted.evidence)).toBeUndefined();
  });

  test("does not cover file names, but the checksum does", async () => {
    const signed = await look(await sign(zipOf(FILES)));
    const swapped = zipOf({ "a.txt": FILES["b.txt"], "b.txt": FILES["a.txt"], "main.py": "" });
    const seen = await look(await folder.file("swapped.difypkg", withComment(swapped, signed.comment)));
    expect(signerOf(seen.evidence)).toBe("signer");
    expect(seen.checksum).not.toBe(signed.checksum);
  });

  test("is not verified with any byte of the file changed, unless contents and order are what was signed", {
    timeout: 60_000,
  }, async () => {
    const bytes = await readFile(await sign(zipOf(FILES), { category: "community" }));
    const { evidence } = await look(await folder.file("whole.difypkg", bytes));
    let verified = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.nat({ max: bytes.length - 1 }),
        fc.integer({ min: 1, max: 255 }),
        async (at, change) => {
          const changed = Buffer.from(bytes);
          changed.writeUInt8(changed.readUInt8(at) ^ change, at);
          const file = await folder.file("changed.difypkg", changed);
          const seen = await look(file).catch((error: unknown) => {
            if (isFault(error)) return undefined;
            throw error;
          });
          if (seen === undefined || signerOf(seen.evidence) === undefined) return;
          verified += 1;
          expect(seen.evidence.entries.map((entry) => entry.sha256)).toEqual(
            evidence.entries.map((entry) => entry.sha256),
          );
          expect(seen.evidence.signature).toEqual(evidence.signature);
        },
      ),
      { numRuns: 200 },
    );
    // times, modes and names of entries: they are there, and nobody signed them
    expect(verified).toBeGreaterThan(0);
  });

  test("is not verified with any byte of the comment or of the contents changed", async () => {
    const { comment, evidence } = await look(await sign(zipOf(FILES)));
    const whole = Buffer.from(comment);
    fc.assert(
      fc.property(fc.nat({ max: whole.length - 1 }), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const changed = Buffer.from(whole);
        changed.writeUInt8(changed.readUInt8(at) ^ change, at);
        expect(signerOf({ ...evidence, signature: parseSignatureComment(changed) })).toBeUndefined();
      }),
      { numRuns: 2000 },
    );
    for (const path of ["b.txt", "a.txt", "main.py"] as const) {
      const content = `${FILES[path]}.`;
      const file = await folder.file(
        "content.difypkg",
        withComment(zipOf({ ...FILES, [path]: content }), comment),
      );
      expect(signerOf((await look(file)).evidence)).toBeUndefined();
    }
  });
});

describe("a comment", () => {
  const signature = Buffer.alloc(256, 7).toString("base64");

  test("is read back as it was written", () => {
    const text = formatSignatureComment({ signature, time: TIME });
    expect(text).toBe(`{"signature":"${signature}","time":${TIME}}`);
    expect(parseSignatureComment(Buffer.from(text))).toEqual({ signature, time: TIME });
  });

  test.each([
    ["nothing", ""],
    ["text", "made by hand"],
    ["null", "null"],
    ["a list", "[]"],
    ["no time", JSON.stringify({ signature })],
    ["a time with a fraction", JSON.stringify({ signature, time: 1.5 })],
    ["a time before all times", JSON.stringify({ signature, time: -1 })],
    ["a time as text", JSON.stringify({ signature, time: "1700000000" })],
    ["no signature", JSON.stringify({ time: TIME })],
    ["an empty signature", JSON.stringify({ signature: "", time: TIME })],
    ["base64 with other characters in it", JSON.stringify({ signature: `${signature}\n`, time: TIME })],
    ["base64 without its padding", JSON.stringify({ signature: signature.replace(/=+$/, ""), time: TIME })],
    ["base64 of another alphabet", JSON.stringify({ signature: "_-__", time: TIME })],
  ])("with %s is no signature", (_what, text) => {
    expect(parseSignatureComment(Buffer.from(text))).toBeUndefined();
  });

  test("of any bytes is a signature or none, and never an error", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        expect(parseSignatureComment(Buffer.from(bytes))).toBeUndefined();
      }),
    );
  });
});

describe("a category's record", () => {
  test.each([
    [undefined, "missing"],
    ['{"authorized_category":"partner"}', "partner"],
    ['{"authorized_category":"Partner"}', "unknown"],
    ['{"authorized_category":"root"}', "unknown"],
    ["{}", "unknown"],
    ["no json", "unknown"],
    [`${" ".repeat(5000)}{"authorized_category":"partner"}`, "unknown"],
  ] as const)("%#: is one of the three words, or counts as none", async (record, expected) => {
    const changes = record === undefined ? {} : { [CATEGORY_RECORD]: record };
    const { evidence } = await look(await folder.file("record.difypkg", zipOf({ ...FILES, ...changes })));
    expect(evidence.record).toBe(expected);
  });
});

/** The archive with another comment than none. */
function withComment(zip: Buffer, comment: string): Buffer {
  const bytes = Buffer.concat([zip, Buffer.from(comment)]);
  bytes.writeUInt16LE(comment.length, zip.length - 2);
  return bytes;
}
