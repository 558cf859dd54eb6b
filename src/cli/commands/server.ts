/** The commands that run Berth, and those for the machine on which one runs. */
import type { Command } from "commander";
import type { Role } from "../../app.ts";
import type { Env } from "../../config/environment.ts";

export function addServerCommands(program: Command, env: Env): void {
  const config = async () => (await import("../../config.ts")).readConfig(env);
  const serve = (role: Role) => async () => {
    const { serveUntilSignal } = await import("../serve.ts");
    await serveUntilSignal({ config: await config(), role });
  };
  program.commandsGroup("Run Berth:");
  program
    .command("serve")
    .description("run everything in one process, until a signal")
    .action(serve("serve"));
  program
    .command("api")
    .description("run only the HTTP APIs; like the worker it needs DATABASE_URL and REDIS_URL")
    .action(serve("api"));
  program
    .command("worker")
    .description("build, start and supervise plugins; only the worker needs the Docker Engine")
    .action(serve("worker"));
  program
    .command("up")
    .description("serve, and run a demonstration with an example plugin first")
    .option("--once", "exit after the demonstration", false)
    .action(async ({ once }: { once: boolean }) => {
      const { up } = await import("../up.ts");
      await up({ config: await config(), once });
    });
}

/** For the machine on which a Berth runs. */
export function addMachineCommands(program: Command, env: Env): void {
  const config = async () => (await import("../../config.ts")).readConfig(env);
  program.commandsGroup("Look after the machine (with the settings of the Berth on it):");
  program
    .command("health")
    .description("check that the api or worker with the same settings is alive")
    .action(async () => {
      const { checkHealth } = await import("../health.ts");
      await checkHealth({ ...(await config()), timeoutMs: 5000 });
    });
  program
    .command("doctor")
    .description("show which limits of plugins hold on this engine (docs/containers.md)")
    .option("--json", "print everything as JSON", false)
    .action(async ({ json }: { json: boolean }) => {
      const { doctor } = await import("../doctor.ts");
      await doctor({ config: await config(), json });
    });
  program
    .command("disk")
    .description("show disk use and how much of it is removable (docs/disk.md)")
    .action(async () => {
      const { showDisk } = await import("../disk.ts");
      await showDisk(await config());
    });
  program
    .command("gc")
    .description("remove unreferenced data")
    .option("--dry-run", "show what would be removed", false)
    .action(async ({ dryRun }: { dryRun: boolean }) => {
      const { collectDisk } = await import("../disk.ts");
      await collectDisk(await config(), { dryRun });
    });
  program
    .command("claim")
    .description("take the instance over on this engine, after a move or a restore (docs/operate.md)")
    .option("--yes", "remove what the other Berth left, and take it over", false)
    .action(async ({ yes }: { yes: boolean }) => {
      const { claim } = await import("../claim.ts");
      await claim({ config: await config(), yes });
    });
}
