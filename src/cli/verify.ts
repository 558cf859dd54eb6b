/** `berth verify FILE [--key PEM]...`: who signed a package. */
import { readFile, stat } from "node:fs/promises";
import { z } from "zod";
import type { Config } from "../config.ts";
import { Fault, invalidInput } from "../domain/fault.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../packages/read-package.ts";
import { findSigner } from "../packages/signature/evidence.ts";
import { parsePublicKey } from "../packages/signature/keys.ts";
import { openInstance } from "./instance.ts";

export interface VerifyCommand {
  readonly file: string;
  /** PEM files; if there is none, the keys that the instance trusts. */
  readonly keys: readonly string[];
  /** Read only where the instance must be asked. */
  readonly config: () => Config;
}

interface NamedKey {
  readonly id: string;
  readonly name: string;
  readonly pem: string;
}

const Trusted = z.object({
  items: z.array(z.object({ id: z.string(), name: z.string(), public_key: z.string() })),
});

/** Prints identifier, key, category and time; throws `signature_required` or `signature_wrong`. */
export async function verify({ file, keys: keyFiles, config }: VerifyCommand): Promise<void> {
  if (!(await stat(file).catch(() => undefined))?.isFile())
    throw invalidInput("FILE", file, "a readable package");
  const { identifier, evidence } = await readPackage(file, new Date(0), DEFAULT_READ_OPTIONS);
  const { signature, entries, record } = evidence;
  if (signature === undefined) throw new Fault("signature_required", `${identifier} is not signed.`);
  const keys = keyFiles.length > 0 ? await readKeys(keyFiles) : await trustedKeys(config());
  const signer = findSigner(signature, entries, keys);
  if (signer === undefined) {
    const tried = keys.map(({ name, id }) => `${name} (${id.slice(0, 16)})`).join(", ") || "none";
    const whose = keyFiles.length > 0 ? "given" : "trusted";
    throw new Fault(
      "signature_wrong",
      `No ${whose} key made the signature of ${identifier}; tried: ${tried}.`,
    );
  }
  const category = record === "missing" || record === "unknown" ? `none (${record})` : record;
  const time = new Date(signature.time * 1000);
  const said = Number.isNaN(time.getTime()) ? String(signature.time) : time.toISOString();
  process.stdout.write(
    `${identifier}\nsigned by ${signer.name} (${signer.id})\ncategory ${category}\ntime ${said}, as the signer states it\n`,
  );
}

async function readKeys(files: readonly string[]): Promise<readonly NamedKey[]> {
  return Promise.all(
    files.map(async (name) => {
      const pem = await readFile(name, "utf8").catch(() => {
        throw invalidInput("--key", name, "a readable PEM file");
      });
      return { name, ...parsePublicKey(pem, "--key") };
    }),
  );
}

async function trustedKeys(config: Config): Promise<readonly NamedKey[]> {
  const instance = await openInstance(config, 30_000);
  const { items } = Trusted.parse(await instance.ask("GET", "/v1/trust/keys"));
  return items.map(({ id, name, public_key: pem }) => ({ id, name, pem }));
}
