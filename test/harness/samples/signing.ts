import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SignatureCategory } from "../../../src/domain/trust.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../../../src/packages/read-package.ts";
import { parsePrivateKey, parsePublicKey } from "../../../src/packages/signature/keys.ts";
import { signArchive } from "../../../src/packages/signature/sign.ts";
import { SIGNER } from "../../support/test-key.ts";
import type { PackedPlugin } from "../clients/client.ts";

/** The public key of what `signed` signs with. */
export const SIGNER_KEY = parsePublicKey(SIGNER.publicKey, "key");

/** The same package with a signature; with a category it is another package. */
export async function signed(plugin: PackedPlugin, category?: SignatureCategory): Promise<PackedPlugin> {
  const folder = await mkdtemp(join(tmpdir(), "berth-sign-"));
  try {
    const file = join(folder, "p.difypkg");
    await writeFile(file, plugin.bytes);
    await signArchive({
      file,
      output: file,
      category,
      time: 1_700_000_000,
      limits: DEFAULT_READ_OPTIONS,
      key: parsePrivateKey(SIGNER.privateKey, "key"),
    });
    const { identifier } = await readPackage(file, new Date(0), DEFAULT_READ_OPTIONS);
    return { ...plugin, identifier, bytes: await readFile(file) };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same package with a signature that nobody made: its contents, and so its identifier, are what they were. */
export async function wronglySigned(plugin: PackedPlugin): Promise<PackedPlugin> {
  const { bytes } = await signed(plugin);
  const at = bytes.lastIndexOf('{"signature":"') + '{"signature":"'.length;
  const changed = Buffer.from(bytes);
  changed.write(changed.toString("latin1", at, at + 1) === "A" ? "B" : "A", at, "latin1");
  return { ...plugin, bytes: changed };
}
