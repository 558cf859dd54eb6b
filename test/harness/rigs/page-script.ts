/**
 * A page for readers as a script: it writes the files that the page shows and runs its commands in one shell, and
 * knows what each command prints. In a page a block of `sh` is a command; a block without a language is what the
 * command before it prints; any other block is a file, whose path ends the sentence before it.
 */
import { spawn } from "node:child_process";
import { endOf } from "../processes/ended.ts";

export type Step =
  | { readonly kind: "file"; readonly path: string; readonly text: string }
  | { readonly kind: "command"; readonly text: string; readonly prints: string | undefined };

export interface Page {
  readonly steps: readonly Step[];
  /** Blocks that are nothing of these, so that nothing would run them. */
  readonly idle: readonly string[];
}

const BLOCK = /([^\n]*)\n\n?```(\w*)\n([\s\S]*?)^```$/gm;
/** A server's event stream has one every 15 seconds, whatever it streams. */
const PING = /^: ping\n\n/gm;
const END_OF_FILE = "BERTH_END_OF_FILE";
const MARK = "\u001e";

export function readPage(markdown: string): Page {
  const steps: Step[] = [];
  const idle: string[] = [];
  for (const [, lead = "", language = "", text = ""] of markdown.matchAll(BLOCK)) {
    const path = /`([^`]+)`:$/.exec(lead)?.[1];
    const last = steps.at(-1);
    if (language === "sh") steps.push({ kind: "command", text, prints: undefined });
    else if (language !== "" && path !== undefined) steps.push({ kind: "file", path, text });
    else if (language === "" && last?.kind === "command" && last.prints === undefined)
      steps[steps.length - 1] = { ...last, prints: text };
    else idle.push(text);
  }
  return { steps, idle };
}

/** Runs the steps in one bash, which ends at the first command that fails. `printed` is what each command wrote. */
export async function runSteps(
  steps: readonly Step[],
  options: { readonly folder: string; readonly env: Readonly<Record<string, string | undefined>> },
): Promise<{ readonly code: number; readonly printed: readonly string[] }> {
  const script = steps.map((step) =>
    step.kind === "file"
      ? `mkdir -p "$(dirname ${step.path})"\ncat > ${step.path} <<'${END_OF_FILE}'\n${step.text}${END_OF_FILE}\n`
      : `printf '${MARK}'\n${step.text}`,
  );
  const child = spawn("bash", ["-euo", "pipefail", "-c", ["exec 2>&1", ...script].join("\n")], {
    cwd: options.folder,
    env: options.env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { code, output } = await endOf(child);
  return { code, printed: output.replace(PING, "").split(MARK).slice(1) };
}

/** Whether the output contains the lines of the page in their order; `…` stands for any text. */
export function saysSo(output: string, prints: string): boolean {
  const pattern = prints
    .trimEnd()
    .split("…")
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"))
    .join("[\\s\\S]*?");
  return new RegExp(pattern).test(output);
}
