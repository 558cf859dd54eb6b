/**
 * A form with one file, read as a stream: only what its reader has not consumed yet is in memory. Other parts of the
 * form are skipped, except short fields.
 */
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { Busboy, type BusboyFileStream, type BusboyInstance } from "@fastify/busboy";
import { type Fault, isFault } from "../../domain/fault.ts";

/** The one file of a form, and its short fields. */
export interface FormFile {
  /** Ends when the whole form has been received. A reader that stops early abandons the rest of the form. */
  readonly content: AsyncIterable<Uint8Array>;
  /** The text of a short field; complete once `content` has ended. */
  field(name: string): string | undefined;
}

/** The faults that a door wants for an unusable form. */
export interface FormRefusals {
  readonly noForm: () => Fault;
  readonly noFile: () => Fault;
  /** The body is not a form, or ends in the middle of one. */
  readonly broken: (cause: unknown) => Fault;
}

const LIMITS = { fields: 20, fieldNameSize: 100, fieldSize: 1000, files: 20, parts: 40, headerPairs: 100 };

/** Resolves when the first file of that name begins; throws one of the refusals. */
export async function openFormFile(
  request: Request,
  name: string,
  refusals: FormRefusals,
): Promise<FormFile> {
  const type = request.headers.get("content-type") ?? "";
  if (!/^multipart\/form-data\b/i.test(type)) throw refusals.noForm();
  const form = parserOf(type, refusals);
  const fields = new Map<string, string>();
  const file = Promise.withResolvers<BusboyFileStream>();
  form.on("field", (key: string, value: string) => fields.set(key, fields.get(key) ?? value));
  let isFound = false;
  form.on("file", (key: string, stream: BusboyFileStream) => {
    // a parser that ends early emits an error on its files; their reader gets it from the form
    stream.on("error", () => undefined);
    if (key !== name || isFound) {
      stream.resume();
      return;
    }
    isFound = true;
    file.resolve(stream);
  });
  const giveUp = new AbortController();
  const body: AsyncIterable<Uint8Array> | Iterable<Uint8Array> = request.body ?? [];
  const whole = pipeline(Readable.from(body), form, { signal: giveUp.signal }).then(
    () => undefined,
    (cause: unknown) => {
      throw isFault(cause) ? cause : refusals.broken(cause);
    },
  );
  whole.then(
    () => file.reject(refusals.noFile()),
    (error: unknown) => file.reject(error),
  );
  const stream = await file.promise;
  return { content: contentOf(stream, whole, giveUp), field: (key) => fields.get(key) };
}

async function* contentOf(
  stream: BusboyFileStream,
  whole: Promise<void>,
  giveUp: AbortController,
): AsyncGenerator<Uint8Array> {
  let isWhole = false;
  try {
    for await (const chunk of stream) yield chunk;
    await whole;
    isWhole = true;
  } catch (error) {
    // the error that ended the file early is the form's
    await whole;
    throw error;
  } finally {
    if (!isWhole) giveUp.abort();
  }
}

function parserOf(type: string, refusals: FormRefusals): BusboyInstance {
  try {
    return new Busboy({ headers: { "content-type": type }, limits: LIMITS });
  } catch (cause) {
    throw refusals.broken(cause);
  }
}
