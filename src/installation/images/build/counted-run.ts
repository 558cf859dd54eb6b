import type { Engine } from "../../../engine/engine.ts";
import { startProgressClock } from "./build-clock.ts";
import { createRedactor } from "./index-env.ts";
import type { BuildSettings } from "./settings.ts";
import { countScript } from "./uv-script.ts";

export interface CountedRun {
  /** Id of a container that runs. */
  readonly id: string;
  /** Of the shell; a counter of received and written bytes runs beside it. */
  readonly script: string;
  readonly env: Readonly<Record<string, string>>;
  readonly onLog: (text: string) => void;
}

export interface CountedEnd {
  readonly exitCode: number;
  /** The end of its stderr, without secrets. */
  readonly output: string;
  /** What it printed on stdout, by line. */
  readonly answers: readonly string[];
}

/** Growth of the counter, in bytes, that is progress: a dead connection still sees a packet now and then. */
const PROGRESS_BYTES_MIN = 4096;
/** Characters of output that are kept to explain a failure. */
const OUTPUT_KEPT = 16_000;
const ANSWERS_KEPT = 4 << 20;

/**
 * Runs a script of trusted programs in a container, within the disk limit of builds. Rejects with `build_no_progress`
 * where it prints, receives and writes nothing for too long.
 */
export async function runCounted(
  { engine, settings }: { readonly engine: Engine; readonly settings: BuildSettings },
  { id, script, env, onLog }: CountedRun,
  signal: AbortSignal,
): Promise<CountedEnd> {
  using clock = startProgressClock(settings.limits);
  const redact = createRedactor(settings.index);
  const lines = new LineSplitter((line) => onLog(redact(line)));
  const answers: string[] = [];
  let output = "";
  let counted = 0;
  let kept = 0;
  const stdout = new LineSplitter((line) => {
    if (/^\d+$/.test(line)) {
      if (Number(line) - counted < PROGRESS_BYTES_MIN) return;
      counted = Number(line);
    } else if (kept < ANSWERS_KEPT) {
      kept += line.length;
      answers.push(line);
    }
    clock.heard();
  });
  const onOutput = (chunk: Buffer, stream: "stdout" | "stderr") => {
    const text = chunk.toString();
    if (stream === "stdout") return stdout.write(text);
    output = `${output}${text}`.slice(-OUTPUT_KEPT);
    lines.write(text);
    clock.heard();
  };
  const spec = {
    command: ["/bin/sh", "-c", `${countScript(settings.limits.diskBytes)}\n${script}`],
    env,
    workingDir: "/",
    user: settings.hostUser,
  };
  const { exitCode } = await engine.exec(id, spec, { onOutput }, AbortSignal.any([signal, clock.signal]));
  lines.end();
  stdout.end();
  return { exitCode, output: redact(output), answers };
}

/** Splits output into whole lines: the redactor would miss a password that two chunks share. */
class LineSplitter {
  readonly #onLine: (line: string) => void;
  #rest = "";

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(text: string): void {
    const lines = `${this.#rest}${text}`.split("\n");
    this.#rest = (lines.pop() ?? "").slice(-OUTPUT_KEPT);
    for (const line of lines) this.#onLine(line);
  }

  end(): void {
    if (this.#rest !== "") this.#onLine(this.#rest);
    this.#rest = "";
  }
}
