#!/usr/bin/env node
/** The command line: reads the configuration, runs one command, prints what went wrong. */
import { parseArgs } from "node:util";
import { readConfig } from "./config.ts";
import { invalidInput, isFault } from "./domain/fault.ts";

const USAGE = `usage: berth serve              run everything in one process, until a signal
       berth api                run only the HTTP APIs; like the worker it needs DATABASE_URL and REDIS_URL
       berth worker             build, start and supervise plugins; only the worker needs the Docker Engine
       berth up [--once]        serve, and run a demonstration with an example plugin first (--once: exit after it)
       berth health             check that the api or worker with the same settings is alive
       berth claim [--yes]      take the instance over on this engine, after a move or a restore (docs/operate.md)
       berth export IDENTIFIER [-o FILE]
                                write a package with its image, for a host without a network
       berth import FILE        import a file written by berth export (docs/air-gapped.md)
       berth doctor [--json]    show which limits of plugins hold on this engine (docs/containers.md)
       berth disk               show disk use and how much of it is removable (docs/disk.md)
       berth gc [--dry-run]     remove unreferenced data, or show what would be removed
       berth pack DIR [-o FILE] pack a folder as a package
       berth keygen NAME        create a key pair for signatures: NAME.private.pem, NAME.public.pem
       berth sign FILE --key PRIVATE.pem [--category NAME] [-o FILE]
                                sign a package
       berth verify FILE [--key PUBLIC.pem]...
                                show who signed a package; without a key, try those that the instance trusts
       berth trust list | add PUBLIC.pem [--name NAME] | remove ID | admit PACKAGE [--note TEXT]
                   | policy TENANT [off|warn|require|instance]
                                manage trusted keys, and packages admitted without a signature (docs/trust.md)
Settings are environment variables: docs/reference/settings.md lists them.
`;

type Command = (args: readonly string[]) => Promise<void>;

/** Each loads only what it needs: loading all of Berth takes 1.5 s of CPU, too much for a health check. */
const COMMANDS: Readonly<Record<string, Command>> = {
  serve: () => serve("serve"),
  api: () => serve("api"),
  worker: () => serve("worker"),
  health: async () => {
    const { checkHealth } = await import("./cli/health.ts");
    await checkHealth({ ...readConfig(process.env), timeoutMs: 5000 });
  },
  claim: async (args) => {
    const { values } = parseArgs({ args: [...args], options: { yes: { type: "boolean", default: false } } });
    const { claim } = await import("./cli/claim.ts");
    return claim({ config: readConfig(process.env), yes: values.yes });
  },
  doctor: async (args) => {
    const { values } = parseArgs({ args: [...args], options: { json: { type: "boolean", default: false } } });
    const { doctor } = await import("./cli/doctor.ts");
    return doctor({ config: readConfig(process.env), json: values.json });
  },
  disk: async () => {
    const { showDisk } = await import("./cli/disk.ts");
    return showDisk(readConfig(process.env));
  },
  gc: async (args) => {
    const options = { "dry-run": { type: "boolean", default: false } } as const;
    const { values } = parseArgs({ args: [...args], options });
    const { collectDisk } = await import("./cli/disk.ts");
    return collectDisk(readConfig(process.env), { dryRun: values["dry-run"] });
  },
  up: async (args) => {
    const { values } = parseArgs({ args: [...args], options: { once: { type: "boolean", default: false } } });
    const { up } = await import("./cli/up.ts");
    return up({ config: readConfig(process.env), once: values.once });
  },
  export: async (args) => {
    const options = { out: { type: "string", short: "o" } } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const { exportPackage } = await import("./cli/transfer.ts");
    return exportPackage({ config: readConfig(process.env), identifiers: positionals, out: values.out });
  },
  import: async (args) => {
    const { positionals } = parseArgs({ args: [...args], options: {}, allowPositionals: true });
    const { importPackage } = await import("./cli/transfer.ts");
    return importPackage({ config: readConfig(process.env), files: positionals });
  },
  pack: async (args) => {
    const options = { output: { type: "string", short: "o" } } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const { pack } = await import("./cli/pack.ts");
    return pack({ folders: positionals, output: values.output });
  },
  keygen: async (args) => {
    const { positionals } = parseArgs({ args: [...args], allowPositionals: true });
    const [name, ...more] = positionals;
    if (name === undefined || more.length > 0) throw invalidInput("NAME", positionals, "one name");
    const { keygen } = await import("./cli/sign.ts");
    return keygen({ name });
  },
  sign: async (args) => {
    const options = {
      key: { type: "string" },
      category: { type: "string" },
      output: { type: "string", short: "o" },
    } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const { key, category, output } = values;
    const { sign } = await import("./cli/sign.ts");
    return sign({ files: positionals, key, category, output, now: new Date() });
  },
  verify: async (args) => {
    const options = { key: { type: "string", multiple: true } } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const { verify } = await import("./cli/verify.ts");
    const config = () => readConfig(process.env);
    return verify({ files: positionals, keys: values.key ?? [], config });
  },
  trust: async (args) => {
    const options = { name: { type: "string" }, note: { type: "string" } } as const;
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true });
    const { trust } = await import("./cli/trust.ts");
    const { name, note } = values;
    return trust({ config: readConfig(process.env), args: positionals, name, note });
  },
};

async function serve(role: "serve" | "api" | "worker"): Promise<void> {
  const { serveUntilSignal } = await import("./cli/serve.ts");
  await serveUntilSignal({ config: readConfig(process.env), role });
}

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

/** A fault's sentence is for the user; anything else is a bug and shows its stack. */
function describe(error: unknown): string {
  if (isFault(error)) {
    const { message, cause } = error;
    const isNew = cause instanceof Error && !message.includes(cause.message);
    return isNew ? `${message} (${cause.message})` : message;
  }
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
