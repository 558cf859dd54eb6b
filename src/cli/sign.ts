/** `berth keygen` and `berth sign`: a key pair, and a package signed with it. */
import { readFile, writeFile } from "node:fs/promises";
import { invalidInput } from "../domain/fault.ts";
import { SIGNATURE_CATEGORIES } from "../domain/trust.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../packages/read-package.ts";
import { generateKeyPair, parsePrivateKey, parsePublicKey } from "../packages/signature/keys.ts";
import { signArchive } from "../packages/signature/sign.ts";
import { errorCode } from "../util/error-code.ts";

/** Writes `NAME.private.pem`, readable by its owner only, and `NAME.public.pem`; throws where one of them exists. */
export async function keygen({ name }: { readonly name: string }): Promise<void> {
  const files = { private: `${name}.private.pem`, public: `${name}.public.pem` };
  const { privateKey, publicKey } = await generateKeyPair();
  await writeNew(files.private, privateKey, 0o600);
  await writeNew(files.public, publicKey, 0o644);
  process.stdout.write(
    `${parsePublicKey(publicKey, files.public).id}\n${files.private} (keep it secret)\n${files.public}\n`,
  );
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  await writeFile(path, text, { flag: "wx", mode }).catch((error) => {
    if (errorCode(error) !== "EEXIST") throw error;
    throw invalidInput("NAME", path, "a name whose files do not exist yet");
  });
}

export interface SignCommand {
  readonly file: string;
  /** A PEM file. */
  readonly key: string;
  readonly category: string | undefined;
  readonly output: string | undefined;
  /** Time of the signature. */
  readonly now: Date;
}

/** Prints the signed package's identifier and file, after reading the written file again. */
export async function sign({ file, key, category, output, now }: SignCommand): Promise<void> {
  const named = SIGNATURE_CATEGORIES.find((it) => it === category);
  if (category !== undefined && named === undefined)
    throw invalidInput("--category", category, SIGNATURE_CATEGORIES.join(", "));
  const pem = await readFile(key, "utf8").catch(() => {
    throw invalidInput("--key", key, "a readable PEM file");
  });
  const signed = output ?? file.replace(/(\.[^./]*)?$/, ".signed$1");
  const before = await readPackage(file, now, DEFAULT_READ_OPTIONS);
  await signArchive({
    file,
    output: signed,
    category: named,
    limits: DEFAULT_READ_OPTIONS,
    key: parsePrivateKey(pem, "--key"),
    time: Math.floor(now.getTime() / 1000),
  });
  const { identifier, bytes } = await readPackage(signed, now, DEFAULT_READ_OPTIONS);
  if (identifier !== before.identifier)
    process.stderr.write(`the category changes the identifier; ${before.identifier} is now\n`);
  process.stdout.write(`${identifier}\n${signed} (${bytes} bytes)\n`);
}
