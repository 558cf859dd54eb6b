/** The page of the command line, from the declarations of its commands. */
import type { Command } from "commander";
import { createProgram } from "../../src/cli/program.ts";

const INTRODUCTION = `# Commands

Generated from \`src/cli/commands/\` by \`npm run docs\`. \`berth COMMAND --help\` prints the same. In a checkout the command
is \`./berth\`. It needs Node.js 24.5 or newer, and starts the one that npm has installed beside it where the machine has
an older one.

Exit codes: 0 the command is done, 1 it failed, 2 the command line is wrong. [The command line](../command-line.md) says which
server a command speaks to.
`;

export function commandsPage(): string {
  const sections = commandsOf(createProgram({})).map(section);
  return [INTRODUCTION, ...sections].join("\n");
}

/** Those that do something, with the names of their parents. */
function commandsOf(command: Command, path = "berth"): (readonly [path: string, command: Command])[] {
  return command.commands.flatMap((child) => {
    const name = `${path} ${child.name()}`;
    return child.commands.length > 0 ? commandsOf(child, name) : [[name, child] as const];
  });
}

function section([path, command]: readonly [path: string, command: Command]): string {
  const names = command.registeredArguments.map((argument) =>
    argument.required ? argument.name() : `[${argument.name()}]`,
  );
  const options = command.options.map(({ flags, description }) => `| \`${flags}\` | ${description} |\n`);
  const table = options.length === 0 ? "" : `\n| option | what it does |\n| --- | --- |\n${options.join("")}`;
  return `## ${[path, ...names].join(" ")}\n\n${sentence(command.description())}\n${table}`;
}

function sentence(text: string): string {
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
}
