/**
 * What a plugin answers to a hook, piece by piece: `{status?, headers?, result?}`, with the body as hex. Status and
 * headers are read up to the first piece with a body; then the head is written, and only bodies count. Nothing that a
 * plugin sends can end the answer anywhere but at its end.
 */
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";

/** Status and headers of an answer to a hook. */
export interface HookHead {
  readonly status: number;
  /** In the order given; each value is a text of bytes without line ends. */
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** The length that the plugin announces for its body; undefined where it announces no valid one. */
  readonly length: number | undefined;
}

const Piece = z.looseObject({
  status: z.int().min(0).max(65_535).nullish(),
  headers: z.record(z.string(), z.string()).nullish(),
  result: z
    .string()
    .regex(/^(?:[0-9a-fA-F]{2})*$/)
    .nullish(),
});

/** Headers of a connection, which is the host's and not the plugin's. */
const OF_THE_CONNECTION = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "content-length",
]);

/** Collects a plugin's pieces into a head and a body. Throws `plugin_protocol` for a piece that is not valid. */
export class HookResponse {
  readonly #headers = new Map<string, [name: string, value: string][]>();
  #status = 200;
  #length: number | undefined;
  #hasBegun = false;

  /** The piece's part of the body; undefined where it has none. Throws `plugin_protocol`. */
  take(item: unknown): Buffer | undefined {
    const read = Piece.safeParse(item);
    if (!read.success) throw unreadable(read.error);
    const { status, headers, result } = read.data;
    if (!this.#hasBegun) {
      if (status !== undefined && status !== null) this.#status = validStatus(status);
      for (const [name, value] of Object.entries(headers ?? {})) this.#add(name, value);
    }
    if (result === undefined || result === null) return undefined;
    this.#hasBegun = true;
    return Buffer.from(result, "hex");
  }

  /** The head so far; fixed from the first body on. `body` is that first body, from which a missing type is guessed. */
  head(body: Buffer): HookHead {
    const headers = [...this.#headers.values()].flat();
    if (body.length > 0 && !this.#headers.has("content-type") && !this.#headers.has("content-encoding"))
      headers.push(["Content-Type", guessType(body)]);
    const length = this.#status === 204 ? undefined : this.#length;
    return { status: this.#status, headers, length };
  }

  /** The first header of a name counts; only cookies may repeat. Invalid names are dropped. */
  #add(given: string, value: string): void {
    const name = given.toLowerCase();
    if (name === "content-length" && /^\d{1,15}$/.test(value)) this.#length ??= Number(value);
    if (OF_THE_CONNECTION.has(name) || !/^[\w!#$%&'*+\-.^`|~]+$/.test(given)) return;
    const known = this.#headers.get(name);
    const header: [string, string] = [given, oneLine(value)];
    if (known === undefined) this.#headers.set(name, [header]);
    else if (name === "set-cookie") known.push(header);
  }
}

/** An interim status announces a final answer; what follows it is that answer. */
function validStatus(status: number): number {
  if (status >= 100 && status < 200) return 200;
  if (status >= 200 && status <= 999) return status;
  throw new Fault("plugin_protocol", `The plugin answered with the status ${status}; accepted: 200 to 999.`, {
    details: { field: "status", value: status, accepted: "200 to 999" },
  });
}

/** As UTF-8 bytes, because Node sends header values byte by byte. */
function oneLine(value: string): string {
  return Buffer.from(value.replaceAll(CONTROLS, " ").trim(), "utf8").toString("latin1");
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]/g;

/** The type of a body without one: a page, a text, or bytes. Anything more precise would be a guess. */
function guessType(body: Buffer): string {
  const start = body.subarray(0, 512).toString("latin1");
  if (BINARY.test(start)) return "application/octet-stream";
  return /^\s*<(?:!doctype html|html)[\s>]/i.test(start)
    ? "text/html; charset=utf-8"
    : "text/plain; charset=utf-8";
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const BINARY = /[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]/;

function unreadable(error: z.ZodError): Fault {
  const [issue] = error.issues;
  const field = issue?.path.join(".") || "the answer";
  return new Fault("plugin_protocol", `The plugin's answer to the hook cannot be read: ${field} is wrong.`, {
    details: { field, accepted: "status: a whole number; headers: an object of texts; result: hex" },
  });
}
