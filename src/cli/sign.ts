/** `berth keygen`, `berth sign`: a key pair, and a package signed with it. */
import { readFile, writeFile } from "node:fs/promises";
import { invalidInput } from "../domain/fault.ts";
import { SIGNATURE_CATEGORIES } from "../domain/trust.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../packages/read-package.ts";
import { generateKeyPair, parsePrivateKey, parsePublicKey } from "../packages/signature/keys.ts";
import { signArchive } from "../packages/signature/sign.ts";
import { errorCode } from "../util/error-code.ts";

/** Writes `NAME.private.pem`, for its owner alone, and `NAME.public.pem`; throws where one of them is there already. */
export async function keygen({ name }: { readonly name: string }): Promise<void> {
  const files = { private: `${name}.private.pem`, public: `${name}.public.pem` };
  const { privateKey, publicKey } = await generateKeyPair();
  await writeNew(files.private, privateKey, 0o600);
  await writeNew(files.public, publicKey, 0o644);
  process.stdout.write(
    `${parsePublicKey(publicKey, files.public).id}\n${files.private} (keep it to yourself)\n${files.public}\n`,
  );
}

async function writeNew(path: string, text: string, mode: number): Promise<void> {
  await writeFile(path, text, { flag: "wx", mode }).catch((error) => {
    if (errorCode(error) !== "EEXIST") throw error;
    throw invalidInput("NAME", path, "a name whose files are not there yet");
  });
}

export interface SignCommand {
  readonly files: readonly string[];
  readonly key: string | undefined;
  readonly category: string | undefined;
  readonly output: string | undefined;
  /** Of the signature. */
  readonly now: Date;
}

/** Prints the identifier that the signed package has and the file; what was written is read back first. */
export async function sign({ files, key, category, output, now }: SignCommand): Promise<void> {
  const [file, ...more] = files;
  if (file === undefined || more.length > 0) throw invalidInput("FILE", files, "one package");
  if (key === undefined)
    throw invalidInput("--key", undefined, "a PEM file of a private key: berth keygen makes one");
  const named = SIGNATURE_CATEGORIES.find((it) => it === category);
  if (category !== undefined && named === undefined)
    throw invalidInput("--category", category, SIGNATURE_CATEGORIES.join(", "));
  const pem = await readFile(key, "utf8").catch(() => {
    throw invalidInput("--key", key, "a PEM file that can be read");
  });
  const signed = output ?? file.replace(/(\.[^./]*)?$/, ".signed$1");
  const before = await readPackage(file, now, DEFAULT_READ_OPTIONS);
  await signArchive({
    ...{ file, output: signed, category: named, limits: DEFAULT_READ_OPTIONS },
    key: parsePrivateKey(pem, "--key"),
    time: Math.floor(now.getTime() / 1000),
  });
  const { identifier, bytes } = await readPackage(signed, now, DEFAULT_READ_OPTIONS);
  if (identifier !== before.identifier)
    process.stderr.write(`the category is part of the package: ${before.identifier} is now\n`);
  process.stdout.write(`${identifier}\n${signed} (${bytes} bytes)\n`);
}
