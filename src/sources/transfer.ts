/** One connection of a download: from what it asks for to the last byte that comes. */
import { Fault } from "../domain/fault.ts";
import { withoutQuery } from "../domain/source.ts";
import type { IdleClock } from "../util/idle-clock.ts";
import { statusFault, unusable } from "./failures.ts";
import type { HttpAnswer, HttpClient, HttpGet } from "./http-client.ts";
import type { PartialFile } from "./partial-file.ts";
import type { DownloadSettings, FetchHooks } from "./sources.ts";

export interface TransferDeps {
  readonly client: HttpClient;
  readonly settings: Pick<DownloadSettings, "bytesMax" | "progressMs">;
}

export interface Transfer {
  readonly download: HttpGet & { readonly key: string; readonly tokenSetting?: string | undefined };
  readonly part: PartialFile;
  readonly hooks: FetchHooks;
}

/** Resolves when the file is whole; rejects with what it lacks still to be asked for, wherever that is possible. */
export async function transfer(
  { client, settings }: TransferDeps,
  work: Transfer,
  clock: IdleClock,
): Promise<void> {
  const { download, part, hooks } = work;
  const there = await part.find(download.key);
  if (there?.total !== undefined && there.bytes === there.total) return;
  const validator = there?.validator;
  const from = there === undefined || validator === undefined ? 0 : there.bytes;
  const range = from === 0 ? {} : { range: `bytes=${from}-`, "if-range": validator ?? "" };
  const answer = await client.get({ ...download, headers: { ...download.headers, ...range } }, clock.signal);
  try {
    const bytes = await place({ answer, part, download, from });
    const total = (await part.find(download.key))?.total ?? totalOf(answer);
    await take({ answer, part, hooks, clock, settings }, { bytes, total });
  } finally {
    answer.body.destroy();
  }
}

/** Makes the file ready for the answer's bytes; resolves with how many stand before them. */
async function place({
  answer,
  part,
  download,
  from,
}: {
  readonly answer: HttpAnswer;
  readonly part: PartialFile;
  readonly download: Transfer["download"];
  /** Where the rest was asked for from; 0: all was asked for. */
  readonly from: number;
}): Promise<number> {
  const { status, headers } = answer;
  if ((headers["content-encoding"] ?? "identity") !== "identity")
    throw unusable(
      `${withoutQuery(answer.url)} answers with ${headers["content-encoding"]} that nobody asked for.`,
    );
  if (status === 206 && from > 0 && headers["content-range"]?.startsWith(`bytes ${from}-`) === true)
    return from;
  if (status === 206 || status === 416) {
    await part.clear();
    throw new Fault(
      "source_unreachable",
      `${withoutQuery(answer.url)} does not go on where the download stopped.`,
    );
  }
  if (status !== 200) throw statusFault(answer, { tokenSetting: download.tokenSetting, now: Date.now() });
  const total = totalOf(answer);
  const validator = validatorOf(answer);
  await part.begin({
    key: download.key,
    ...(validator === undefined ? {} : { validator }),
    ...(total === undefined ? {} : { total }),
  });
  return 0;
}

interface Taking {
  readonly answer: HttpAnswer;
  readonly part: PartialFile;
  readonly hooks: FetchHooks;
  readonly clock: IdleClock;
  readonly settings: TransferDeps["settings"];
}

async function take(
  { answer, part, hooks, clock, settings }: Taking,
  { bytes, total }: { readonly bytes: number; readonly total: number | undefined },
): Promise<void> {
  const { bytesMax, progressMs } = settings;
  if ((total ?? 0) > bytesMax) throw tooLarge(answer.url, bytesMax);
  let done = bytes;
  let saidAt = Number.NEGATIVE_INFINITY;
  const say = () => hooks.onProgress(total === undefined ? { done } : { done, total });
  async function* counted() {
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      clock.heard();
      // Before it is written: the disk never holds more than the limit.
      if (done + chunk.length > bytesMax) throw tooLarge(answer.url, bytesMax);
      yield chunk;
    }
  }
  await part.append(counted(), (written) => {
    done += written;
    if (performance.now() - saidAt < progressMs) return;
    saidAt = performance.now();
    say();
  });
  if (total !== undefined && done !== total)
    throw new Fault("source_unreachable", `${withoutQuery(answer.url)} sent ${done} of ${total} bytes.`);
  say();
}

function totalOf({ status, headers }: HttpAnswer): number | undefined {
  const length = headers["content-length"];
  return status === 200 && length !== undefined && /^\d{1,15}$/.test(length) ? Number(length) : undefined;
}

/** A weak tag says nothing of bytes. */
function validatorOf({ headers }: HttpAnswer): string | undefined {
  const { etag } = headers;
  if (headers["accept-ranges"] === "none") return undefined;
  return etag?.startsWith('"') === true ? etag : headers["last-modified"];
}

function tooLarge(url: URL, bytesMax: number): Fault {
  return new Fault("package_too_large", `${withoutQuery(url)} has more than ${bytesMax} bytes.`, {
    details: { field: "source", value: withoutQuery(url), accepted: `at most ${bytesMax} bytes` },
  });
}
