import { CommanderError } from "commander";
import type { Env } from "../config/environment.ts";
import { isFault } from "../domain/fault.ts";
import { createProgram } from "./program.ts";

/** Exit codes of every command. */
const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/**
 * Runs the command that `args` name and resolves with the exit code: 0, 1 where the command failed, 2 where the command
 * line itself is wrong. What went wrong is on stderr by then.
 */
export async function runCommandLine(args: readonly string[], env: Env): Promise<number> {
  const program = createProgram(env);
  try {
    await program.parseAsync([...args], { from: "user" });
    return EXIT.ok;
  } catch (error) {
    // The parser has written its own sentence. Help and version that were asked for end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    process.stderr.write(`berth ${commandOf(args)}: ${describe(error)}\n`);
    return EXIT.failed;
  }
}

function commandOf(args: readonly string[]): string {
  return args.find((arg) => !arg.startsWith("-")) ?? "";
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
