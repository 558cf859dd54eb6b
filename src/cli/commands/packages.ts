/** The commands that make, check and move package files. */
import type { Command } from "commander";
import type { Env } from "../../config/environment.ts";

export function addPackageCommands(program: Command, env: Env): void {
  const config = async () => (await import("../../config.ts")).readConfig(env);
  program.commandsGroup("Make and check packages:");
  program
    .command("pack <DIR>")
    .description("pack a folder as a package")
    .option("-o, --output <FILE>", "the package's file")
    .action(async (folder: string, { output }: { output?: string }) => {
      const { pack } = await import("../pack.ts");
      await pack({ folder, output });
    });
  program
    .command("keygen <NAME>")
    .description("create a key pair for signatures: NAME.private.pem, NAME.public.pem")
    .action(async (name: string) => {
      const { keygen } = await import("../sign.ts");
      await keygen({ name });
    });
  program
    .command("sign <FILE>")
    .description("sign a package")
    .requiredOption("--key <PRIVATE.pem>", "the private key; berth keygen makes one")
    .option("--category <NAME>", "the category to state in the signature")
    .option("-o, --output <FILE>", "the signed package's file")
    .action(async (file: string, options: { key: string; category?: string; output?: string }) => {
      const { key, category, output } = options;
      const { sign } = await import("../sign.ts");
      await sign({ file, key, category, output, now: new Date() });
    });
  program
    .command("verify <FILE>")
    .description("show who signed a package; without a key, try those that the instance trusts")
    .option("--key <PUBLIC.pem>", "a public key to try; may be repeated", collect, [])
    .action(async (file: string, { key }: { key: string[] }) => {
      const { readConfig } = await import("../../config.ts");
      const { verify } = await import("../verify.ts");
      await verify({ file, keys: key, config: () => readConfig(env) });
    });
  program
    .command("export <IDENTIFIER>")
    .description("write a package with its image, for a host without a network")
    .option("-o, --out <FILE>", "the file to write")
    .action(async (identifier: string, { out }: { out?: string }) => {
      const { exportPackage } = await import("../transfer.ts");
      await exportPackage({ config: await config(), identifier, out });
    });
  program
    .command("import <FILE>")
    .description("import a file written by berth export (docs/air-gapped.md)")
    .action(async (file: string) => {
      const { importPackage } = await import("../transfer.ts");
      await importPackage({ config: await config(), file });
    });
}

function collect(value: string, before: readonly string[]): string[] {
  return [...before, value];
}
