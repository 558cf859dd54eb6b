/**
 * Scans JSON text byte by byte without building objects: is it JSON, how deep does it nest, how many values does it
 * have, can every text be stored and read elsewhere. It never recurses, so any depth is safe, and its own memory does
 * not grow with the text. It is for bodies of requests, which are scanned whole before they are parsed;
 * `json-cursor.ts` is for reading a text member by member.
 */
import { isUtf8 } from "node:buffer";

export interface JsonScanOptions {
  /** Accepted levels of objects and lists; the outermost is the first. */
  readonly depthMax: number;
  /** Accepted number of objects, lists, texts, numbers and literals; by default any. */
  readonly valuesMax?: number;
  /** Called for each member of the outermost object, in order; a name may come twice. */
  readonly onMember?: (member: JsonMember) => void;
}

/** The place of a member of the outermost object: offsets in bytes, ends are exclusive. */
export interface JsonMember {
  readonly name: string;
  /** Offset of the name's opening quote. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

export type JsonScan = JsonText | JsonMisfit;

export interface JsonText {
  readonly ok: true;
  readonly isObject: boolean;
  /** 0: a text, a number, `true`, `false` or `null`. */
  readonly depth: number;
  /** Objects, lists, texts, numbers and literals; names of members do not count. */
  readonly values: number;
  /** Path to the first text or name that contains U+0000. */
  readonly nulAt: JsonPath | undefined;
  /** The same for half of a surrogate pair, which no encoding has as a character. */
  readonly loneSurrogateAt: JsonPath | undefined;
  /**
   * Parsing and serialising would change it: a number in its digits (`1.0`, one over 2^53), or an object in the order
   * of its names, where one of them is an index.
   */
  readonly isRewritten: boolean;
}

export interface JsonMisfit {
  readonly ok: false;
  /** `depth` and `values`: valid JSON so far, but more of it than accepted. */
  readonly why: "syntax" | "utf8" | "depth" | "values";
  /** Offset of the first wrong byte; 0 where the text as a whole is not UTF-8. */
  readonly offset: number;
  /** Path to the innermost open value. */
  readonly path: JsonPath;
  /** Deepest level found; where `why` is `depth`, that of the whole text. */
  readonly depth: number;
}

export type JsonPath = readonly (string | number)[];

const [QUOTE, BACKSLASH, COMMA, COLON, MINUS] = [0x22, 0x5c, 0x2c, 0x3a, 0x2d];
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d];
const LITERALS: ReadonlyMap<number, Buffer> = new Map(
  ["true", "false", "null"].map((word) => [word.charCodeAt(0), Buffer.from(word)]),
);
/** Characters that may follow a backslash. */
const ESCAPES = new Set(Buffer.from('"\\/bfnrt'));
/** Marks an open list, in place of the start of a member's name. */
const IN_LIST = -1;
/** Number of digits that every double preserves. */
const EXACT_DIGITS = 15;

/** Scans the whole text once. Never throws. */
export function scanJson(bytes: Buffer, options: JsonScanOptions): JsonScan {
  if (!isUtf8(bytes)) return { ok: false, why: "utf8", offset: 0, path: [], depth: 0 };
  return new Scanner(bytes, options).scan();
}

/** Ends the scan; thrown and caught in this file only. */
class Misfit extends Error {
  readonly why: JsonMisfit["why"];
  readonly offset: number;

  constructor(why: JsonMisfit["why"], offset: number) {
    super(why);
    this.why = why;
    this.offset = offset;
  }
}

class Scanner {
  readonly #bytes: Buffer;
  readonly #options: JsonScanOptions;
  readonly #valuesMax: number;
  /** For each open level: the start of the current member's name, or `IN_LIST`. */
  readonly #nameAt: Int32Array;
  /** For each open level: the index in the list, or the end of that name. */
  readonly #place: Int32Array;
  #at = 0;
  #depth = 0;
  #deepest = 0;
  #values = 0;
  #nulAt: JsonPath | undefined;
  #loneSurrogateAt: JsonPath | undefined;
  #isRewritten = false;
  #valueStart = 0;

  constructor(bytes: Buffer, options: JsonScanOptions) {
    this.#bytes = bytes;
    this.#options = options;
    this.#valuesMax = options.valuesMax ?? Number.POSITIVE_INFINITY;
    this.#nameAt = new Int32Array(options.depthMax + 1);
    this.#place = new Int32Array(options.depthMax + 1);
  }

  scan(): JsonScan {
    try {
      this.#skipSpace();
      const isObject = this.#bytes[this.#at] === OPEN_OBJECT;
      while (this.#readValue() || this.#finishValue());
      if (this.#at < this.#bytes.length) throw new Misfit("syntax", this.#at);
      return {
        ok: true,
        isObject,
        depth: this.#deepest,
        values: this.#values,
        nulAt: this.#nulAt,
        loneSurrogateAt: this.#loneSurrogateAt,
        isRewritten: this.#isRewritten,
      };
    } catch (error) {
      if (!(error instanceof Misfit)) throw error;
      const { why, offset } = error;
      const depth = why === "depth" ? this.#depthOfRest() : this.#deepest;
      return { ok: false, why, offset, path: this.#path(), depth };
    }
  }

  /** True: an object or a list has been opened, and its first value follows. */
  #readValue(): boolean {
    const byte = this.#bytes[this.#at];
    if (++this.#values > this.#valuesMax) throw new Misfit("values", this.#at);
    if (byte === OPEN_OBJECT || byte === OPEN_LIST) return this.#open(byte === OPEN_OBJECT);
    if (byte === QUOTE) this.#readText();
    else if (byte === MINUS || isDigit(byte)) this.#readNumber();
    else this.#readLiteral(byte);
    return false;
  }

  #open(isObject: boolean): boolean {
    if (this.#depth >= this.#options.depthMax) throw new Misfit("depth", this.#at);
    this.#depth++;
    if (this.#depth > this.#deepest) this.#deepest = this.#depth;
    this.#nameAt[this.#depth] = isObject ? this.#at : IN_LIST;
    this.#place[this.#depth] = isObject ? this.#at : 0;
    this.#at++;
    this.#skipSpace();
    if (this.#bytes[this.#at] === (isObject ? CLOSE_OBJECT : CLOSE_LIST)) {
      this.#depth--;
      this.#at++;
      return false;
    }
    if (isObject) this.#readName();
    return true;
  }

  /** True: another value follows. False: the outermost value has ended. */
  #finishValue(): boolean {
    while (this.#depth > 0) {
      if (this.#depth === 1) this.#tellMember();
      this.#skipSpace();
      const byte = this.#bytes[this.#at];
      const isList = this.#nameAt[this.#depth] === IN_LIST;
      if (byte === COMMA) {
        this.#at++;
        this.#skipSpace();
        if (isList) this.#place[this.#depth] = (this.#place[this.#depth] ?? 0) + 1;
        else this.#readName();
        return true;
      }
      if (byte !== (isList ? CLOSE_LIST : CLOSE_OBJECT)) throw new Misfit("syntax", this.#at);
      this.#at++;
      this.#depth--;
    }
    this.#skipSpace();
    return false;
  }

  #readName(): void {
    const start = this.#at;
    if (this.#bytes[start] !== QUOTE) throw new Misfit("syntax", start);
    // set before the name is read, so that a mistake in it is reported under its own path
    this.#nameAt[this.#depth] = start;
    this.#place[this.#depth] = start;
    this.#readText();
    this.#place[this.#depth] = this.#at;
    if (isDigit(this.#bytes[start + 1])) this.#isRewritten = true;
    this.#skipSpace();
    if (this.#bytes[this.#at] !== COLON) throw new Misfit("syntax", this.#at);
    this.#at++;
    this.#skipSpace();
    if (this.#depth === 1) this.#valueStart = this.#at;
  }

  #tellMember(): void {
    const { onMember } = this.#options;
    const start = this.#nameAt[1] ?? IN_LIST;
    if (onMember === undefined || start === IN_LIST) return;
    const name = textOf(this.#bytes, start, this.#place[1] ?? start);
    onMember({ name, start, valueStart: this.#valueStart, end: this.#at });
  }

  #readText(): void {
    const bytes = this.#bytes;
    let at = this.#at + 1;
    for (;;) {
      const byte = bytes[at] ?? 0;
      if (byte === QUOTE) break;
      if (byte < 0x20) throw new Misfit("syntax", at);
      at = byte === BACKSLASH ? this.#readEscape(at) : at + 1;
    }
    this.#at = at + 1;
  }

  /** Returns the offset after the escape. */
  #readEscape(at: number): number {
    const kind = this.#bytes[at + 1] ?? 0;
    if (ESCAPES.has(kind)) return at + 2;
    const unit = this.#unitAt(at);
    if (unit === undefined) throw new Misfit("syntax", at);
    if (unit === 0) this.#nulAt ??= this.#path();
    if (unit < 0xd800 || unit > 0xdfff) return at + 6;
    const next = unit < 0xdc00 ? this.#unitAt(at + 6) : undefined;
    if (next !== undefined && next >= 0xdc00 && next <= 0xdfff) return at + 12;
    this.#loneSurrogateAt ??= this.#path();
    return at + 6;
  }

  /** The value of `\uXXXX`; undefined where there is no such escape. */
  #unitAt(at: number): number | undefined {
    const bytes = this.#bytes;
    if (bytes[at] !== BACKSLASH || bytes[at + 1] !== 0x75) return undefined;
    let unit = 0;
    for (let digit = at + 2; digit < at + 6; digit++) {
      const value = hexValue(bytes[digit]);
      if (value === undefined) return undefined;
      unit = unit * 16 + value;
    }
    return unit;
  }

  #readNumber(): void {
    const bytes = this.#bytes;
    const start = this.#at;
    let at = bytes[start] === MINUS ? start + 1 : start;
    const whole = at;
    at = skipDigits(bytes, at);
    if (bytes[whole] === 0x30 && at > whole + 1) throw new Misfit("syntax", whole + 1);
    const wholeDigits = at - whole;
    if (bytes[at] === 0x2e) at = skipDigits(bytes, at + 1);
    if (bytes[at] === 0x65 || bytes[at] === 0x45) {
      const sign = bytes[at + 1];
      at = skipDigits(bytes, sign === 0x2b || sign === MINUS ? at + 2 : at + 1);
    }
    this.#at = at;
    const isPlain = at === whole + wholeDigits && wholeDigits <= EXACT_DIGITS && bytes[start] !== MINUS;
    if (isPlain || this.#isRewritten) return;
    const text = bytes.toString("latin1", start, at);
    if (String(Number(text)) !== text) this.#isRewritten = true;
  }

  #readLiteral(first: number | undefined): void {
    const word = LITERALS.get(first ?? 0);
    if (word === undefined) throw new Misfit("syntax", this.#at);
    for (const byte of word) {
      if (this.#bytes[this.#at] !== byte) throw new Misfit("syntax", this.#at);
      this.#at++;
    }
  }

  #skipSpace(): void {
    const bytes = this.#bytes;
    let at = this.#at;
    for (let byte = bytes[at]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; )
      byte = bytes[++at];
    this.#at = at;
  }

  #path(): JsonPath {
    const path: (string | number)[] = [];
    for (let level = 1; level <= this.#depth; level++) {
      const start = this.#nameAt[level] ?? IN_LIST;
      const place = this.#place[level] ?? 0;
      if (start === IN_LIST) path.push(place);
      else if (place > start) path.push(textOf(this.#bytes, start, place));
    }
    return path;
  }

  /** The depth of the rest of the text after the scan ended, by its brackets alone. */
  #depthOfRest(): number {
    const bytes = this.#bytes;
    let [depth, deepest] = [this.#depth, this.#deepest];
    for (let at = this.#at; at < bytes.length; at++) {
      const byte = bytes[at];
      if (byte === QUOTE) at = endOfText(bytes, at);
      else if (byte === OPEN_LIST || byte === OPEN_OBJECT) deepest = Math.max(deepest, ++depth);
      else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--;
    }
    return deepest;
  }
}

function endOfText(bytes: Buffer, quote: number): number {
  let at = quote + 1;
  while (at < bytes.length && bytes[at] !== QUOTE) at += bytes[at] === BACKSLASH ? 2 : 1;
  return at;
}

/** The quoted text between the offsets. */
function textOf(bytes: Buffer, start: number, end: number): string {
  const text = bytes.toString("utf8", start + 1, end - 1);
  return text.includes("\\") ? String(JSON.parse(`"${text}"`)) : text;
}

function isDigit(byte: number | undefined): boolean {
  return byte !== undefined && byte >= 0x30 && byte <= 0x39;
}

/** Skips digits; at least one is required. */
function skipDigits(bytes: Buffer, from: number): number {
  let at = from;
  while (isDigit(bytes[at])) at++;
  if (at === from) throw new Misfit("syntax", at);
  return at;
}

function hexValue(byte: number | undefined): number | undefined {
  if (byte === undefined) return undefined;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const lower = byte | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : undefined;
}
