/**
 * Reads JSON text at the pace of a caller that knows the members it wants and skips the rest: for the lines of plugins,
 * thousands per second. It builds nothing of what it skips, and accepts exactly what `JSON.parse` accepts, up to its
 * depth. `json-scan.ts` is for checking a stranger's whole text.
 */

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

const ZERO = 0x30;
const MINUS = 0x2d;
const POINT = 0x2e;
/** Turns a letter into lower case. */
const SMALL = 0x20;

/** A method that returns false has recorded the reason, and nothing can be read after it. */
export class JsonCursor {
  readonly #text: string;
  readonly #depthMax: number;
  #at: number;
  #depth = 0;
  #nodes = 0;
  #problem: string | undefined;
  readonly #skipMember = () => this.skip();

  /** `depthMax`: how deep lists and objects may be nested, and so how deep the cursor itself recurses. */
  constructor(text: string, depthMax: number) {
    this.#text = text;
    this.#depthMax = depthMax;
    this.#at = 0;
  }

  /** Offset of the next character. */
  get at(): number {
    return this.#at;
  }

  /** Lists, objects and members of objects so far: what a reader that builds everything would create. */
  get nodes(): number {
    return this.#nodes;
  }

  get problem(): string {
    return this.#problem ?? `what is not JSON at character ${this.#at}`;
  }

  /** The character code of the next token, without consuming it. NaN at the end. */
  peek(): number {
    const text = this.#text;
    let at = this.#at;
    let code = text.charCodeAt(at);
    while (code === 0x20 || code === 0x0a || code === 0x0d || code === 0x09) code = text.charCodeAt(++at);
    this.#at = at;
    return code;
  }

  /** Skips one value. */
  skip(): boolean {
    const code = this.peek();
    switch (code) {
      case QUOTE:
        return this.#string();
      case OPEN_OBJECT:
        return this.object(this.#skipMember);
      case OPEN_LIST:
        return this.#list();
      case 0x74:
        return this.#word("true");
      case 0x66:
        return this.#word("false");
      case 0x6e:
        return this.#word("null");
      default:
        return this.#number();
    }
  }

  /** Skips an object; `member` is called at each value with its name, and must skip or read that value. */
  object(member: (name: string) => boolean): boolean {
    if (!this.#enter(OPEN_OBJECT)) return false;
    if (this.peek() === CLOSE_OBJECT) return this.#leave();
    for (;;) {
      const name = this.string();
      if (name === undefined || this.peek() !== COLON) return false;
      this.#at++;
      this.#nodes++;
      if (!member(name)) return false;
      const code = this.peek();
      if (code === CLOSE_OBJECT) return this.#leave();
      if (code !== COMMA) return false;
      this.#at++;
    }
  }

  /** Reads a string and returns its value. */
  string(): string | undefined {
    if (this.peek() !== QUOTE) return undefined;
    const start = this.#at;
    if (!this.#string()) return undefined;
    const inner = this.#text.slice(start + 1, this.#at - 1);
    return inner.includes("\\") ? (JSON.parse(this.#text.slice(start, this.#at)) as string) : inner;
  }

  /** Whether only white space is left. */
  isAtEnd(): boolean {
    return Number.isNaN(this.peek());
  }

  #list(): boolean {
    if (!this.#enter(OPEN_LIST)) return false;
    if (this.peek() === CLOSE_LIST) return this.#leave();
    for (;;) {
      if (!this.skip()) return false;
      const code = this.peek();
      if (code === CLOSE_LIST) return this.#leave();
      if (code !== COMMA) return false;
      this.#at++;
    }
  }

  #enter(open: number): boolean {
    if (this.peek() !== open) return false;
    this.#at++;
    this.#nodes++;
    if (++this.#depth <= this.#depthMax) return true;
    this.#problem = `nested more than ${this.#depthMax} deep`;
    return false;
  }

  #leave(): boolean {
    this.#at++;
    this.#depth--;
    return true;
  }

  #word(word: string): boolean {
    if (!this.#text.startsWith(word, this.#at)) return false;
    this.#at += word.length;
    return true;
  }

  #number(): boolean {
    const text = this.#text;
    let at = this.#at;
    if (text.charCodeAt(at) === MINUS) at++;
    // a zero must be the only digit before the point
    const whole = text.charCodeAt(at) === ZERO ? at + 1 : afterDigits(text, at);
    if (whole === at) return false;
    at = whole;
    if (text.charCodeAt(at) === POINT) {
      const end = afterDigits(text, at + 1);
      if (end === at + 1) return false;
      at = end;
    }
    if ((text.charCodeAt(at) | SMALL) === 0x65) {
      const sign = text.charCodeAt(at + 1);
      const start = sign === MINUS || sign === 0x2b ? at + 2 : at + 1;
      const end = afterDigits(text, start);
      if (end === start) return false;
      at = end;
    }
    this.#at = at;
    return true;
  }

  #string(): boolean {
    const text = this.#text;
    let at = this.#at + 1;
    const long = at + LOOP_LENGTH;
    for (;;) {
      const code = text.charCodeAt(at);
      if (code === QUOTE) {
        this.#at = at + 1;
        return true;
      }
      if (code === BACKSLASH) {
        const length = escapeLength(text, at);
        if (length === 0) break;
        at += length;
      } else if (code >= 0x20) at = at < long ? at + 1 : afterPlain(text, at);
      else break;
    }
    this.#at = at;
    return false;
  }
}

/** Beyond this many characters of a string, the expression is faster than the loop. */
const LOOP_LENGTH = 16;
// biome-ignore lint/suspicious/noControlCharactersInRegex: they end the plain part of a string
const PLAIN = /[^"\\\x00-\x1f]+/y;

function afterPlain(text: string, start: number): number {
  PLAIN.lastIndex = start;
  return PLAIN.test(text) ? PLAIN.lastIndex : start + 1;
}

function afterDigits(text: string, start: number): number {
  let at = start;
  for (let code = text.charCodeAt(at); code >= ZERO && code <= 0x39; code = text.charCodeAt(++at));
  return at;
}

/** Length of the escape at `at`; 0 where it is invalid. */
function escapeLength(text: string, at: number): number {
  switch (text.charCodeAt(at + 1)) {
    case QUOTE:
    case BACKSLASH:
    case 0x2f:
    case 0x62:
    case 0x66:
    case 0x6e:
    case 0x72:
    case 0x74:
      return 2;
    case 0x75:
      for (let place = at + 2; place < at + 6; place++) if (!isHex(text.charCodeAt(place))) return 0;
      return 6;
    default:
      return 0;
  }
}

function isHex(code: number): boolean {
  const letter = code | SMALL;
  return (code >= ZERO && code <= 0x39) || (letter >= 0x61 && letter <= 0x66);
}
