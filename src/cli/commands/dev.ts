/** The command for authors of plugins. */
import type { Command } from "commander";
import type { Env } from "../../config/environment.ts";
import type { DevOptions } from "../dev/dev.ts";

export function addDevCommand(program: Command, env: Env): void {
  program.commandsGroup("Write a plugin:");
  program
    .command("dev <DIR>")
    .description("run the plugin of a folder, and start it again when a file changes (docs/dev.md)")
    .option("--context <NAME>", "the server that it connects to; by default one of its own")
    .option("--tenant <ID>", "the tenant that has the plugin there")
    .option("--port <PORT>", "the port of a server of its own; by default any free one")
    .option("--container", "run it in a container with the limits of an installed plugin")
    .action(async (folder: string, options: DevOptions) => {
      const { dev } = await import("../dev/dev.ts");
      await dev({ env, folder, options });
    });
}
