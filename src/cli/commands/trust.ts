/** `berth trust`: a sub-command for each thing that an instance trusts. */
import type { Command } from "commander";
import type { Env } from "../../config/environment.ts";

export function addTrustCommands(program: Command, env: Env): void {
  const trust = program
    .command("trust")
    .helpCommand(false)
    .description("manage trusted keys, and packages admitted without a signature");
  const open = async () => {
    const { readConfig } = await import("../../config.ts");
    const { openInstance } = await import("../instance.ts");
    return await openInstance(readConfig(env), 30_000);
  };
  const commands = () => import("../trust.ts");
  trust
    .command("list")
    .description("show the policy, the trusted keys and the admissions of the instance")
    .action(async () => (await commands()).listTrust(await open()));
  trust
    .command("add <PUBLIC.pem>")
    .description("trust a key")
    .option("--name <NAME>", "the key's name; by default that of the file")
    .action(async (file: string, { name }: { name?: string }) =>
      (await commands()).addTrustedKey(await open(), file, name),
    );
  trust
    .command("remove <ID>")
    .description("no longer trust a key, or withdraw an admission; 8 first characters suffice")
    .action(async (id: string) => (await commands()).removeTrust(await open(), id));
  trust
    .command("admit <PACKAGE>")
    .description("admit a package without a signature: a file, an identifier or a checksum")
    .option("--note <TEXT>", "why")
    .action(async (what: string, { note }: { note?: string }) =>
      (await commands()).admitPackage(await open(), what, note),
    );
  trust
    .command("policy <TENANT> [POLICY]")
    .description(
      "show or set the policy of a tenant: off, warn, require, or instance for that of the instance",
    )
    .action(async (tenant: string, policy?: string) =>
      (await commands()).tenantPolicy(await open(), tenant, policy),
    );
}
