/**
 * What polls read, behind one short statement. Each poll still asks the database; while the marks say that the rows are
 * those of the last read, their answer is used again.
 *
 * Guarantees: an answer is what the rows say at a moment after the call, as if they had been read. Calls that come
 * within a few milliseconds share one statement.
 */
import { setTimeout as sleep } from "node:timers/promises";

/** Of each group of rows a text that differs after any change of them, or whether there is work in it. */
export interface Marks {
  readonly installations: string;
  readonly pools: string;
  readonly runtimes: string;
  readonly egress: string;
  readonly keys: string;
  readonly quotas: string;
  /** Ids of the processes that are alive. */
  readonly processes: string;
  /** A task that nobody holds may be claimed. */
  readonly tasks: boolean;
  /** The process of a debug connection is not alive any more. */
  readonly debugConnections: boolean;
  readonly diskRuns: boolean;
  /** The platform's list has a task that an earlier daemon left unfinished, or one that has succeeded. */
  readonly shownTasks: boolean;
  readonly upgrades: boolean;
  /** There is something to take over from a daemon, or something that was taken over. */
  readonly takeover: boolean;
}
type Versions = { [K in keyof Marks as Marks[K] extends string ? K : never]: string };
type Works = { [K in keyof Marks as Marks[K] extends boolean ? K : never]: boolean };

/** Timers of one moment fire within this time. */
const GATHER_MS = 4;

export class Watch {
  readonly #readMarks: () => Promise<Marks>;
  #next: Promise<Marks> | undefined;

  constructor(readMarks: () => Promise<Marks>) {
    this.#readMarks = readMarks;
  }

  /** A read of rows that is repeated only after a change of them. Callers get the same value and must not change it. */
  remember<T>(group: keyof Versions, read: () => Promise<T>): () => Promise<T> {
    let last: { readonly mark: string; readonly answer: T } | undefined;
    return async () => {
      const mark = await this.mark(group);
      if (last?.mark === mark) return last.answer;
      const answer = await read();
      // The mark is older than the answer: at worst the same rows are read once more.
      last = { mark, answer };
      return answer;
    };
  }

  async mark(group: keyof Versions): Promise<string> {
    return (await this.#read())[group];
  }

  async hasWork(group: keyof Works): Promise<boolean> {
    return (await this.#read())[group];
  }

  /** The statement begins after the call. */
  #read(): Promise<Marks> {
    this.#next ??= sleep(GATHER_MS).then(() => {
      this.#next = undefined;
      return this.#readMarks();
    });
    return this.#next;
  }
}
