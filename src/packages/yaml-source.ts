import {
  type Alias,
  type Document,
  isAlias,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  parseAllDocuments,
  visit,
} from "yaml";
import { type Fault, isFault } from "../domain/fault.ts";
import type { Findings } from "./findings.ts";
import { manifestInvalid } from "./manifest-fault.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

const DEPTH_MAX = 64;

interface FileContext {
  readonly file: string;
  /** The node of each alias: a lookup in the document would take time in proportion to its size. */
  readonly targets: ReadonlyMap<Alias, Node>;
  readonly findings: Findings;
}

/**
 * One place in a YAML file: a value, or the absence of one, with the field's name. Scalars keep their written text,
 * because a string field accepts `no`, `0` and `1.10` as they are. YAML 1.2 core, with merge keys.
 */
export class Source {
  readonly field: string;
  readonly #context: FileContext;
  readonly #node: Node | undefined;
  readonly #depth: number;
  #children: Map<string, Node | undefined> | undefined;

  constructor(context: FileContext, node: Node | undefined, field: string, depth = 0) {
    this.#context = context;
    this.#node = node;
    this.field = field;
    this.#depth = depth;
    if (depth > DEPTH_MAX || (node !== undefined && !context.findings.visit())) {
      throw this.refuse("fewer and less deeply nested values");
    }
  }

  get file(): string {
    return this.#context.file;
  }

  /** True for a missing value and for null. */
  get isEmpty(): boolean {
    const node = this.#node;
    return node === undefined || (isScalar(node) && node.value === null);
  }
  get isList(): boolean {
    return isSeq(this.#node);
  }
  get isMap(): boolean {
    return isMap(this.#node);
  }
  get isScalar(): boolean {
    return isScalar(this.#node) && !this.isEmpty;
  }

  /** The text of a scalar as written. */
  get text(): string | undefined {
    const node = this.#node;
    if (!isScalar(node) || this.isEmpty) return undefined;
    return node.source ?? String(node.value);
  }

  /** The number of a scalar without quotes. */
  get number(): number | undefined {
    const node = this.#node;
    return isScalar(node) && typeof node.value === "number" ? node.value : undefined;
  }

  /** The truth value of a scalar without quotes, in the words that a boolean field accepts: `yes` and `off` too. */
  get flag(): boolean | undefined {
    const node = this.#node;
    if (!isScalar(node)) return undefined;
    if (typeof node.value === "boolean") return node.value;
    if (node.type !== "PLAIN") return undefined;
    return FLAG_WORDS.get(String(node.source).toLowerCase());
  }

  get(key: string): Source {
    return this.#child(this.#entries().get(key), this.field === "" ? key : `${this.field}.${key}`);
  }

  get keys(): readonly string[] {
    return [...this.#entries().keys()];
  }

  get items(): readonly Source[] {
    const node = this.#node;
    if (!isSeq(node)) return [];
    return node.items.map((item, index) => this.#child(asNode(item), `${this.field}[${index}]`));
  }

  /** The value as JSON; infinity and NaN, which JSON does not have, become their text. */
  toJson(): Json {
    if (this.isList) return this.items.map((item) => item.toJson());
    if (this.isMap) return Object.fromEntries(this.keys.map((key) => [key, this.get(key).toJson()]));
    const node = this.#node;
    if (!isScalar(node) || this.isEmpty) return null;
    const { value } = node;
    if (typeof value === "boolean" || (typeof value === "number" && Number.isFinite(value))) return value;
    return this.text ?? null;
  }

  refuse(accepted: string): Fault {
    const field = this.field === "" ? "the document" : this.field;
    return manifestInvalid({ file: this.file, field, value: this.#shown(), accepted });
  }

  warn(finding: string): void {
    const field = this.field === "" ? "" : `${this.field}: `;
    this.#context.findings.warn(`${this.file}: ${field}${finding}`);
  }

  #shown(): unknown {
    if (this.#node === undefined) return undefined;
    if (isSeq(this.#node)) return "a list";
    if (isMap(this.#node)) return "a map";
    return this.number ?? this.flag ?? this.text ?? null;
  }

  #child(node: Node | undefined, field: string): Source {
    return new Source(this.#context, resolveAlias(node, this.#context.targets), field, this.#depth + 1);
  }

  #entries(): Map<string, Node | undefined> {
    this.#children ??= this.#readEntries(this.#node, 0);
    return this.#children;
  }

  #readEntries(node: Node | undefined, merges: number): Map<string, Node | undefined> {
    const entries = new Map<string, Node | undefined>();
    if (!isMap(node) || merges > DEPTH_MAX) return entries;
    const merged: (Node | undefined)[] = [];
    for (const pair of node.items) {
      if (!isPair(pair)) continue;
      const keyNode = resolveAlias(asNode(pair.key), this.#context.targets);
      const key = isScalar(keyNode) ? (keyNode.source ?? String(keyNode.value)) : String(keyNode);
      if (key === "<<" && isScalar(keyNode) && keyNode.type === "PLAIN") {
        merged.push(asNode(pair.value));
      } else {
        if (entries.has(key))
          this.#context.findings.warn(`${this.file}: ${key} is written twice; the last one counts`);
        entries.set(key, asNode(pair.value));
      }
    }
    for (const value of merged) this.#merge(entries, value, merges);
    return entries;
  }

  /** Merged keys never override the map's own. */
  #merge(entries: Map<string, Node | undefined>, value: Node | undefined, merges: number): void {
    const from = resolveAlias(value, this.#context.targets);
    for (const source of isSeq(from) ? from.items.map(asNode) : [from]) {
      if (!this.#context.findings.visit()) throw this.refuse("fewer merged values");
      const resolved = resolveAlias(source, this.#context.targets);
      for (const [key, node] of this.#readEntries(resolved, merges + 1)) {
        if (!entries.has(key)) entries.set(key, node);
      }
    }
  }
}

const FLAG_WORDS: ReadonlyMap<string, boolean> = new Map([
  ["y", true],
  ["yes", true],
  ["on", true],
  ["n", false],
  ["no", false],
  ["off", false],
]);

function asNode(value: unknown): Node | undefined {
  return isScalar(value) || isMap(value) || isSeq(value) || isAlias(value) ? value : undefined;
}

function resolveAlias(node: Node | undefined, targets: ReadonlyMap<Alias, Node>): Node | undefined {
  return isAlias(node) ? targets.get(node) : node;
}

/** An alias refers to the last node before it that has its anchor. */
function findTargets(document: Document): ReadonlyMap<Alias, Node> {
  const anchors = new Map<string, Node>();
  const targets = new Map<Alias, Node>();
  visit(document, {
    Alias: (_key, alias) => {
      const target = anchors.get(alias.source);
      if (target !== undefined) targets.set(alias, target);
    },
    Value: (_key, node) => {
      if (node.anchor !== undefined) anchors.set(node.anchor, node);
    },
  });
  return targets;
}

/** Reads the first document of a YAML file. Throws `manifest_invalid` with the place that cannot be read. */
export function parseYaml(bytes: Buffer, file: string, findings: Findings): Source {
  const document = parseYamlDocument(bytes, file);
  const targets = findTargets(document);
  return new Source({ file, targets, findings }, asNode(document.contents), "");
}

export function parseYamlDocument(bytes: Buffer, file: string): Document {
  try {
    return parseFirst(new TextDecoder("utf-8", { fatal: true }).decode(bytes), file);
  } catch (failure) {
    if (isFault(failure)) throw failure;
    // Not text at all, or nested so deeply that the parser ran out of stack.
    throw unreadable(file, failure instanceof Error ? failure.message : "unreadable", failure);
  }
}

const REPAIRS_MAX = 20;

/**
 * Other parsers accept a quoted text that continues in a line without indentation, and published packages rely on it: such
 * a line is joined to the one before, as folding would do.
 */
function parseFirst(written: string, file: string): Document {
  let text = written;
  for (let repairs = 0; ; repairs += 1) {
    // Looking for equal keys in the parser takes quadratic time; reading a map does it by hash.
    const [document] = parseAllDocuments(text, {
      version: "1.2",
      schema: "core",
      uniqueKeys: false,
      logLevel: "silent",
    });
    if (document === undefined) throw unreadable(file, "empty");
    const [problem] = document.errors;
    if (problem === undefined) return document;
    const joined = problem.code === "MISSING_CHAR" ? joinLine(text, problem.pos[0]) : text;
    if (joined === text || repairs === REPAIRS_MAX) {
      throw unreadable(file, problem.message.split("\n")[0] ?? problem.code);
    }
    text = joined;
  }
}

function joinLine(text: string, from: number): string {
  const end = text.indexOf("\n", Math.max(0, from - 1));
  if (end < 0) return text;
  const rest = text.slice(end).replace(/^\n[ \t]*/, "");
  if (rest === "" || rest.startsWith("\n")) return text;
  const head = text.slice(0, end).replace(/[ \t\r]+$/, "");
  return head.endsWith("\\") ? head.slice(0, -1) + rest : `${head} ${rest}`;
}

function unreadable(file: string, value: string, cause?: unknown): Fault {
  return manifestInvalid({ file, field: "the document", value, accepted: "readable YAML in UTF-8", cause });
}
