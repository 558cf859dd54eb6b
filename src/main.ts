#!/usr/bin/env node
/** The command line: reads the configuration, runs one command, says in words what went wrong. */
import { parseArgs } from "node:util";
import { pack } from "./cli/pack.ts";
import { serveUntilSignal } from "./cli/serve.ts";
import { up } from "./cli/up.ts";
import { readConfig } from "./config.ts";
import { isFault } from "./domain/fault.ts";

const USAGE = `usage: berth serve              everything in one process, until a signal
       berth api                the doors alone; needs DATABASE_URL and REDIS_URL, as the worker does
       berth worker             builds, starts and keeps plugins; the only one that needs the Docker Engine
       berth up [--once]        serve, and show the main job on an example first (--once: end after it)
       berth pack DIR [-o FILE] make a package of a folder
Settings are environment variables: README.md lists them.
`;

type Command = (args: readonly string[]) => Promise<void>;

const COMMANDS: Readonly<Record<string, Command>> = {
  serve: () => serveUntilSignal({ config: readConfig(process.env), role: "serve" }),
  api: () => serveUntilSignal({ config: readConfig(process.env), role: "api" }),
  worker: () => serveUntilSignal({ config: readConfig(process.env), role: "worker" }),
  up: (args) => {
    const { values } = parseArgs({ args: [...args], options: { once: { type: "boolean", default: false } } });
    return up({ config: readConfig(process.env), once: values.once });
  },
  pack: (args) => {
    const options = { output: { type: "string", short: "o" } } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    return pack({ folders: positionals, output: values.output });
  },
};

const [name = "", ...args] = process.argv.slice(2);
const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
if (command === undefined) {
  process.stderr.write(USAGE);
  process.exit(2);
}
try {
  await command(args);
  process.exit(0);
} catch (error) {
  process.stderr.write(`berth ${name}: ${describe(error)}\n`);
  process.exit(1);
}

/** A Fault is a sentence for the user; anything else is a bug, with its stack. */
function describe(error: unknown): string {
  if (isFault(error))
    return error.cause instanceof Error ? `${error.message} (${error.cause.message})` : error.message;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
