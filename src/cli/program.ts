/**
 * The commands with their arguments and options. A command's code is loaded when it runs: loading all of Berth takes
 * 1.5 s of CPU, too much for a health check, and help needs none of it.
 */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import type { Env } from "../config/environment.ts";
import { addContextCommands, addPluginCommands } from "./commands/contexts.ts";
import { addDevCommand } from "./commands/dev.ts";
import { addPackageCommands } from "./commands/packages.ts";
import { addMachineCommands, addServerCommands } from "./commands/server.ts";
import { addTrustCommands } from "./commands/trust.ts";

const AFTER_HELP = `
Exit codes: 0 done, 1 failed, 2 the command line is wrong.
Settings are environment variables: docs/reference/settings.md lists them.`;

/** In the order of the help. */
const GROUPS = [
  addServerCommands,
  addMachineCommands,
  addDevCommand,
  addPackageCommands,
  addTrustCommands,
  addContextCommands,
  addPluginCommands,
];

/** Parsing throws `CommanderError` for a wrong command line, for help and for the version; it never ends the process. */
export function createProgram(env: Env): Command {
  const program = new Command("berth")
    .description("Runs third-party plugins, each in its own limited container.")
    .version(readVersion(), "--version", "print the version")
    .helpOption("-h, --help", "print this help")
    .helpCommand("help [command]", "print the help of a command")
    .addHelpText("after", AFTER_HELP)
    .exitOverride()
    .showSuggestionAfterError()
    .configureOutput({
      outputError: (text, write) => write(text.replace(/^error: /, "berth: ")),
    });
  for (const add of GROUPS) add(program, env);
  return program;
}

function readVersion(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
