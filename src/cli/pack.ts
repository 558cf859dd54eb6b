import { packFolder } from "../packages/archive/pack.ts";

/** `berth pack DIR [-o FILE]`: prints the identifier and the file. */
export async function pack({
  folder,
  output,
}: {
  folder: string;
  output: string | undefined;
}): Promise<void> {
  const packed = await packFolder({ folder, ...(output === undefined ? {} : { output }) });
  for (const warning of packed.warnings) process.stderr.write(`warning: ${warning}\n`);
  process.stdout.write(
    `${packed.identifier}\n${packed.output} (${packed.files.length} files, ${packed.bytes} bytes)\n`,
  );
}
