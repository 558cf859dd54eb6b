/** A parsed value, with the source text of each of its objects and lists. */
export interface JsonSource {
  readonly value: unknown;
  /** The source of an object or list that is part of `value`; undefined for any other. */
  textOf(part: object): string | undefined;
}

/**
 * Parses text that `scanJson` has accepted, and remembers the places of its objects and lists: parts that are passed on
 * unchanged can then be written as they were, with the digits of their numbers and the order of their names.
 */
export function parseWithSource(text: string): JsonSource {
  const parser = new Parser(text);
  const value = parser.readValue();
  return { value, textOf: (part) => parser.textOf(part) };
}

/** The JSON of a value; parts that come from the source are written exactly as there. */
export function writeWithSource(value: unknown, source: JsonSource | undefined): string {
  if (source === undefined || typeof value !== "object" || value === null)
    return JSON.stringify(value) ?? "null";
  const own = source.textOf(value);
  if (own !== undefined) return own;
  if (Array.isArray(value)) return `[${value.map((one) => writeWithSource(one, source)).join(",")}]`;
  const members = Object.entries(value).filter(([, one]) => one !== undefined);
  return `{${members.map(([name, one]) => `${JSON.stringify(name)}:${writeWithSource(one, source)}`).join(",")}}`;
}

/** A line end in JSON text can only be white space between tokens. */
export function oneLine(text: string): string {
  return text.includes("\n") || text.includes("\r") ? text.replaceAll(/[\r\n]/g, " ") : text;
}

class Parser {
  readonly #text: string;
  readonly #places = new Map<object, readonly [start: number, end: number]>();
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  textOf(part: object): string | undefined {
    const place = this.#places.get(part);
    return place === undefined ? undefined : this.#text.slice(...place);
  }

  readValue(): unknown {
    const first = this.#next();
    if (first === "{") return this.#readObject();
    if (first === "[") return this.#readList();
    return first === '"' ? this.#readText() : this.#readWord();
  }

  #readObject(): object {
    const start = this.#at++;
    const object = {};
    while (this.#next() !== "}") {
      const name = this.#readText();
      this.#skip(":");
      const value = this.readValue();
      // an assignment to `__proto__` would set the prototype
      Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true });
      this.#skip(",");
    }
    this.#places.set(object, [start, ++this.#at]);
    return object;
  }

  #readList(): unknown[] {
    const start = this.#at++;
    const list: unknown[] = [];
    while (this.#next() !== "]") {
      list.push(this.readValue());
      this.#skip(",");
    }
    this.#places.set(list, [start, ++this.#at]);
    return list;
  }

  #readText(): string {
    const start = this.#at++;
    while (this.#text[this.#at] !== '"') this.#at += this.#text[this.#at] === "\\" ? 2 : 1;
    return String(JSON.parse(this.#text.slice(start, ++this.#at)));
  }

  /** A number, `true`, `false` or `null`. */
  #readWord(): unknown {
    WORD.lastIndex = this.#at;
    const [word = ""] = WORD.exec(this.#text) ?? [];
    this.#at += word.length;
    return JSON.parse(word);
  }

  /** The next character that is not white space. */
  #next(): string {
    let character = this.#text.charAt(this.#at);
    while (character !== "" && " \t\r\n".includes(character)) character = this.#text.charAt(++this.#at);
    if (character === "") throw new Error("the text is not JSON");
    return character;
  }

  #skip(character: string): void {
    if (this.#next() === character) this.#at++;
  }
}

const WORD = /[\w+.-]*/y;
