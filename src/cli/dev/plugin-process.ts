/** The process of a plugin on this machine: a group of its own, ended as a whole. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { errorCode } from "../../util/error-code.ts";

const START = join(import.meta.dirname, "../../../runtime-images/python/dev_start.py");

export interface PluginProcessRequest {
  readonly python: string;
  readonly folder: string;
  readonly entrypoint: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly onLine: (line: string) => void;
}

/** A process that has loaded the SDK, and runs the plugin once it is told to. Disposing it ends its whole group. */
export interface PluginProcess extends AsyncDisposable {
  start(): void;
  /** Resolves with how it ended, as `exit code 1`. */
  readonly ended: Promise<string>;
}

export function preparePlugin({
  python,
  folder,
  entrypoint,
  env,
  onLine,
}: PluginProcessRequest): PluginProcess {
  const child = spawn(python, ["-u", START, entrypoint], {
    cwd: folder,
    env,
    // A group of its own: Ctrl-C is for the command, which then ends this.
    detached: true,
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.on("error", () => undefined);
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on("line", onLine);
  const ended = endOf(child);
  return {
    ended,
    start: () => void child.stdin.end("\n"),
    async [Symbol.asyncDispose]() {
      killGroup(child);
      await ended;
    },
  };
}

/** What it started goes with it; its output has been read by then. */
async function endOf(child: ChildProcess): Promise<string> {
  const failed = new Promise<string>((resolve) =>
    child.once("error", (error) => resolve(`it cannot be started: ${error.message}`)),
  );
  const closed = once(child, "close");
  const exited = once(child, "exit").then(async ([code, signal]) => {
    killGroup(child);
    await closed;
    return signal === null ? `exit code ${code}` : `signal ${signal}`;
  });
  return await Promise.race([failed, exited]);
}

/** A plugin keeps nothing that a signal would let it save: its SDK ends at once, too. */
function killGroup({ pid }: ChildProcess): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, "SIGKILL");
  } catch (error) {
    if (errorCode(error) !== "ESRCH") throw error;
  }
}
