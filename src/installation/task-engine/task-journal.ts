import { type Fault, type FaultJson, formatFault } from "../../domain/fault.ts";
import type { TaskEventData, TaskStep } from "../../domain/task.ts";
import { storableText } from "../../util/storable.ts";

export interface TaskJournalOptions {
  readonly write: (events: readonly TaskEventData[]) => Promise<void>;
  /** How long events are gathered before they are written together. */
  readonly batchMs: number;
  /** Bytes of log text that one run of a task may record. */
  readonly logBytesMax: number;
  /** Characters after which a log line is cut. */
  readonly lineCharsMax: number;
}

/** Events that wait for one write at most; a flood beyond it loses lines, not memory. */
const EVENTS_WAITING_MAX = 2000;
/** What a failure shows of the log: so many lines, each cut at so many characters. */
const TAIL_LINES = 30;
const TAIL_LINE_CHARS = 300;

/**
 * Records what happens in a task: batched, in order, and bounded, so that a build which prints without end costs the
 * database no more than one which is silent. What is left out is said once, in the log itself.
 */
export class TaskJournal {
  readonly #options: TaskJournalOptions;
  #step: TaskStep;
  #waiting: TaskEventData[] = [];
  #writing: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #failure: unknown;
  #logBytes = 0;
  #logFull = false;
  readonly #tail: string[] = [];

  constructor(step: TaskStep, options: TaskJournalOptions) {
    this.#step = step;
    this.#options = options;
  }

  get step(): TaskStep {
    return this.#step;
  }

  set step(step: TaskStep) {
    this.#step = step;
  }

  /** The last lines of the log, those that were left out of the events too; each cut to what a cause can carry. */
  get tail(): readonly string[] {
    return [...this.#tail];
  }

  /** Takes text of any number of lines. */
  log(text: string): void {
    for (const line of storableText(text).split(/\r?\n/)) {
      if (line.trim() !== "") this.#logLine(line);
    }
  }

  progress(message: string, count: { done?: number; total?: number } = {}): void {
    this.#put({ type: "progress", step: this.#step, message, ...count });
  }

  warning(message: string): void {
    this.#put({ type: "warning", step: this.#step, message });
  }

  /** Writes one event after all that wait, and resolves when it is written. */
  async record(event: TaskEventData): Promise<void> {
    this.#put(event);
    await this.flush();
  }

  /** Resolves when all that was recorded is written; throws what a write threw, `lease_lost` for one. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const events = this.#waiting;
    this.#waiting = [];
    if (events.length > 0) {
      this.#writing = this.#writing
        .then(() => this.#options.write(events))
        .catch((error: unknown) => {
          this.#failure ??= error;
        });
    }
    await this.#writing;
    if (this.#failure !== undefined) throw this.#failure;
  }

  #logLine(line: string): void {
    this.#tail.push(line.slice(0, TAIL_LINE_CHARS));
    if (this.#tail.length > TAIL_LINES) this.#tail.shift();
    if (this.#logFull) return;
    const { lineCharsMax, logBytesMax } = this.#options;
    const text = line.length > lineCharsMax ? `${line.slice(0, lineCharsMax)} [cut]` : line;
    this.#logBytes += Buffer.byteLength(text);
    this.#logFull = this.#logBytes > logBytesMax || this.#waiting.length >= EVENTS_WAITING_MAX;
    this.#put({
      type: "log",
      step: this.#step,
      text: this.#logFull ? `[the log of this task ends here: it reached ${logBytesMax} bytes]` : text,
    });
  }

  #put(event: TaskEventData): void {
    this.#waiting.push(event);
    this.#timer ??= setTimeout(() => {
      this.flush().catch(() => undefined);
    }, this.#options.batchMs);
  }
}

/** The cause that a failed task keeps: the Fault with the last lines of the task's log, in `details.log`. */
export function explain(fault: Fault, { tail }: { readonly tail: readonly string[] }): FaultJson {
  const cause = formatFault(fault);
  if (fault.code === "cancelled" || tail.length === 0) return cause;
  return { ...cause, details: { ...cause.details, log: tail } };
}
