import type { EngineMark, LabelFilter } from "../../../src/engine/engine.ts";
import { matchLabels } from "./match-labels.ts";

type Labels = Readonly<Record<string, string>>;

/** The marks of a MemoryEngine: the labels of whoever set a name first. */
export class MemoryMarks {
  readonly #marks = new Map<string, Labels>();

  ensure(name: string, labels: Labels): Labels {
    const set = this.#marks.get(name) ?? { ...labels };
    this.#marks.set(name, set);
    return set;
  }

  list(labels: LabelFilter): readonly EngineMark[] {
    const all = [...this.#marks].map(([name, found]) => ({ name, labels: found }));
    return all.filter((mark) => matchLabels(mark.labels, labels));
  }

  remove(name: string): void {
    this.#marks.delete(name);
  }
}
