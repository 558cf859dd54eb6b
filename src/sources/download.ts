/** Downloads one file over HTTP, bounded in size and time. It resumes an interrupted download, or starts over where it cannot. */
import { Fault } from "../domain/fault.ts";
import { withoutQuery } from "../domain/source.ts";
import type { IdleClock } from "../util/idle-clock.ts";
import { statusFault, unusable } from "./failures.ts";
import type { HttpClient, HttpGet } from "./http-client.ts";
import { PartialFile } from "./partial-file.ts";
import type { DownloadSettings, FetchedArchive, FetchHooks } from "./sources.ts";
import { transfer } from "./transfer.ts";
import { repeat } from "./tries.ts";

export interface Download extends HttpGet {
  /** Identifies the download: bytes of another key are not resumed. */
  readonly key: string;
  readonly folder: string;
  /** Hex; undefined where the source names no digest. */
  readonly sha256?: string | undefined;
  /** Name of the setting for the source's token, for messages. */
  readonly tokenSetting?: string | undefined;
}

export interface Downloader {
  /** Resolves once the file is whole and has its digest. Throws the Faults of a source. */
  file(download: Download, hooks: FetchHooks, signal: AbortSignal): Promise<FetchedArchive>;
  /** Reads a short answer as text: at most 8 MiB. Throws the Faults of a source. */
  text(request: HttpGet & Pick<Download, "tokenSetting">, signal: AbortSignal): Promise<string>;
}

export interface DownloaderDeps {
  readonly client: HttpClient;
  readonly settings: DownloadSettings;
}

const TEXT_BYTES_MAX = 8 << 20;

export function createDownloader(deps: DownloaderDeps): Downloader {
  return {
    async file(download, hooks, signal) {
      const part = new PartialFile(download.folder);
      const found = await part.find(download.key);
      await complete(deps, { download, part, hooks }, signal);
      // A machine that stopped may have lost bytes that were written.
      if (found !== undefined && !(await hasDigest(part, download.sha256))) {
        hooks.onNote("the partial file of an earlier try is damaged; the download starts over");
        await part.clear();
        await complete(deps, { download, part, hooks }, signal);
      }
      if (!(await hasDigest(part, download.sha256))) throw await wrongDigest(part, download);
      return { path: part.path, bytes: (await part.find(download.key))?.bytes ?? 0 };
    },
    text: (request, signal) =>
      repeat(deps.settings, { url: request.url, onFailure: () => false }, signal, (until) =>
        textOnce(deps, request, until),
      ),
  };
}

interface Work {
  readonly download: Download;
  readonly part: PartialFile;
  readonly hooks: FetchHooks;
}

/** Downloads all bytes, over as many connections as needed; only tries without a further byte count as failures. */
async function complete(deps: DownloaderDeps, work: Work, signal: AbortSignal): Promise<void> {
  const { download, part, hooks } = work;
  let reached = -1;
  const onFailure = async (fault: Fault) => {
    const bytes = (await part.find(download.key))?.bytes ?? 0;
    const isFurther = bytes > reached && bytes > 0;
    reached = Math.max(reached, bytes);
    hooks.onNote(`${fault.message} ${bytes} bytes have arrived; retrying`);
    return isFurther;
  };
  await repeat(deps.settings, { url: download.url, onFailure }, signal, (until) =>
    transfer(deps, work, until),
  );
}

async function textOnce(
  { client }: DownloaderDeps,
  request: HttpGet & Pick<Download, "tokenSetting">,
  clock: IdleClock,
): Promise<string> {
  const answer = await client.get(request, clock.signal);
  try {
    if (answer.status !== 200)
      throw statusFault(answer, { tokenSetting: request.tokenSetting, now: Date.now() });
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of answer.body as AsyncIterable<Buffer>) {
      clock.heard();
      bytes += chunk.length;
      if (bytes > TEXT_BYTES_MAX)
        throw unusable(`${withoutQuery(answer.url)} answers with more than ${TEXT_BYTES_MAX} bytes.`);
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString("utf8");
  } finally {
    answer.body.destroy();
  }
}

async function hasDigest(part: PartialFile, sha256: string | undefined): Promise<boolean> {
  return sha256 === undefined || (await part.sha256()) === sha256;
}

async function wrongDigest(part: PartialFile, { url, sha256 }: Download): Promise<Fault> {
  const found = await part.sha256();
  const where = withoutQuery(url);
  return new Fault("source_digest_mismatch", `${where} has the SHA-256 ${found} instead of ${sha256}.`, {
    details: { field: "sha256", value: sha256, found },
  });
}
