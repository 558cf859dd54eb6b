/** The commands that name servers, and the options of all that speak to one. */
import type { Command } from "commander";
import type { Env } from "../../config/environment.ts";

interface ServerFlags {
  readonly context?: string;
  readonly tenant?: string;
}

export function addPluginCommands(program: Command, env: Env): void {
  ofServer(program.command("ps"))
    .description("list the plugins of a tenant")
    .option("--json", "print everything as JSON", false)
    .action(async (options: ServerFlags & { json: boolean }) => {
      const { listInstallations } = await import("../servers/list-installations.ts");
      await listInstallations(env, options);
    });
  ofServer(program.command("call <TOOL> [KEY=VALUE...]"))
    .description(
      "call a tool, and print what it yields as it comes; AUTHOR/PLUGIN/TOOL where several have its name",
    )
    .option("--user <ID>", "the user on whose behalf", "berth")
    .option("--credentials <JSON>", "the provider's credentials, as a JSON object", "{}")
    .option("--json", "print every event as a line of JSON", false)
    .action(
      async (
        tool: string,
        parameters: string[],
        options: ServerFlags & { user: string; credentials: string; json: boolean },
      ) => {
        const { callTool } = await import("../servers/call-tool.ts");
        await callTool(env, { tool, parameters, ...options });
      },
    );
}

function ofServer(command: Command): Command {
  return command
    .option("--context <NAME>", "the server, by the name of its context")
    .option("--tenant <ID>", "the tenant");
}

export function addContextCommands(program: Command, env: Env): void {
  const commands = () => import("../servers/login.ts");
  program.commandsGroup("Speak to a server:");
  program
    .command("login <URL>")
    .description("keep the address and a key of a Berth; the key is asked for, or read from stdin")
    .option("--name <NAME>", "the context's name; by default host and port of the URL")
    .option("--tenant <ID>", "the tenant of commands that name none")
    .action(async (url: string, { name, tenant }: { name?: string; tenant?: string }) =>
      (await commands()).login({ env, url, name, tenant }),
    );
  const context = program
    .command("context")
    .helpCommand(false)
    .description("list, choose and forget the servers of berth login");
  context
    .command("list")
    .description("show the contexts; a star marks the current one")
    .option("--json", "print them as JSON", false)
    .action(async (options: { json: boolean }) => (await commands()).listContexts(env, options));
  context
    .command("use <NAME>")
    .description("make a context the current one")
    .action(async (name: string) => (await commands()).useContext(env, name));
  context
    .command("remove <NAME>")
    .description("forget a context and its key")
    .action(async (name: string) => (await commands()).removeContext(env, name));
}
