import { createHash, createPublicKey, generateKeyPairSync } from "node:crypto";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { SIGNER } from "../../../test/support/test-key.ts";
import { temporaryFolder } from "../../../test/support/test-zip.ts";
import { readKeyFiles } from "./key-files.ts";
import { generateKeyPair, parsePrivateKey, parsePublicKey } from "./keys.ts";

const spki = (pem: string) => createPublicKey(pem).export({ type: "spki", format: "pem" }).toString();

describe("a public key", () => {
  test("has the same id, the SHA-256 of its DER, and the same spelling in both of its forms", () => {
    const key = parsePublicKey(SIGNER.publicKey, "key");
    expect(parsePublicKey(`\n${spki(SIGNER.publicKey)}\n`, "key")).toEqual(key);
    expect(key.pem).toBe(SIGNER.publicKey);
    const der = createPublicKey(SIGNER.publicKey).export({ type: "spki", format: "der" });
    expect(key.id).toBe(createHash("sha256").update(der).digest("hex"));
  });

  const weak = generateKeyPairSync("rsa", { modulusLength: 1024 }).publicKey;
  const curve = generateKeyPairSync("ed25519").publicKey;
  test.each([
    ["text", "no key"],
    ["nothing", ""],
    ["two keys", SIGNER.publicKey + SIGNER.publicKey],
    ["a broken key", SIGNER.publicKey.replace(/\n[A-Za-z0-9]/, "\n!")],
    ["a weak key", weak.export({ type: "spki", format: "pem" }).toString()],
    ["a key of another kind", curve.export({ type: "spki", format: "pem" }).toString()],
    ["a certificate's frame", SIGNER.publicKey.replaceAll("RSA PUBLIC KEY", "CERTIFICATE")],
    ["more than a key can be", `${SIGNER.publicKey}${" ".repeat(20_000)}`],
  ])("that is %s is refused", (_what, pem) => {
    expect(() => parsePublicKey(pem, "public_key")).toThrow(/^public_key is .*2048 bits or more/);
  });

  test("is never derived from a private key, which is not shown either", () => {
    const parse = () => parsePublicKey(SIGNER.privateKey, "public_key");
    expect(parse).toThrow(/a private key \(not shown\)/);
    expect(parse).not.toThrow(SIGNER.privateKey.slice(40, 80));
  });
});

test("a private key that cannot be used is refused without being shown", () => {
  const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const locked = pair.privateKey
    .export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "secret" })
    .toString();
  for (const pem of ["no key", SIGNER.publicKey, locked])
    expect(() => parsePrivateKey(pem, "--key")).toThrow(/^--key is "\(not shown\)"; accepted: a PEM file/);
  const open = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  expect(parsePrivateKey(open, "--key").asymmetricKeyType).toBe("rsa");
});

test("a new pair is RSA of 4096 bits in the form that other tools read", async () => {
  const pair = await generateKeyPair();
  expect(pair.privateKey).toMatch(/^-----BEGIN RSA PRIVATE KEY-----\n/);
  expect(pair.publicKey).toMatch(/^-----BEGIN RSA PUBLIC KEY-----\n/);
  const details = parsePrivateKey(pair.privateKey, "key").asymmetricKeyDetails;
  expect(details).toEqual({ modulusLength: 4096, publicExponent: 65537n });
});

describe("files of trusted keys", () => {
  test("are one file or each .pem of a folder; each key is read once and named after its file", async () => {
    await using folder = await temporaryFolder();
    const pair = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const other = pair.publicKey.export({ type: "spki", format: "pem" }).toString();
    const file = await folder.file("acme.pem", Buffer.from(SIGNER.publicKey));
    await folder.file("again.pem", Buffer.from(spki(SIGNER.publicKey)));
    await folder.file("other.pem", Buffer.from(other));
    await folder.file("README", Buffer.from("no key"));
    const named = (keys: Awaited<ReturnType<typeof readKeyFiles>>) => keys.map(({ name }) => name);
    expect(named(await readKeyFiles(file))).toEqual(["acme"]);
    const keys = await readKeyFiles(folder.path);
    expect(named(keys)).toEqual(["acme", "other"]);
    expect(keys[0]).toEqual({
      ...parsePublicKey(SIGNER.publicKey, "key"),
      name: "acme",
      origin: "settings",
      createdAt: undefined,
    });
  });

  test("that cannot be used stop the start with the file's name", async () => {
    await using folder = await temporaryFolder();
    await folder.file("good.pem", Buffer.from(SIGNER.publicKey));
    const bad = await folder.file("bad.pem", Buffer.from("no key"));
    await expect(readKeyFiles(folder.path)).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(bad),
    });
    const missing = join(folder.path, "missing.pem");
    await expect(readKeyFiles(missing)).rejects.toMatchObject({
      code: "config_invalid",
      message: expect.stringContaining(missing),
    });
  });
});
