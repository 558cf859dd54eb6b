/** One file over HTTP: bounded in size and time, gone on with where it was cut, begun anew where that is not possible. */
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
  /** Tells downloads apart: bytes of another key are not gone on with. */
  readonly key: string;
  readonly folder: string;
  /** Hex; undefined: the source names none. */
  readonly sha256?: string | undefined;
  /** The setting with the token that would open what is closed. */
  readonly tokenSetting?: string | undefined;
}

export interface Downloader {
  file(download: Download, hooks: FetchHooks, signal: AbortSignal): Promise<FetchedArchive>;
  /** A short answer, as text. */
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
      // Bytes that stood on the disk while the machine stopped may not be those that were written.
      if (found !== undefined && !(await hasDigest(part, download.sha256))) {
        hooks.onNote("what an earlier try had left is damaged; the download begins anew");
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

/** All bytes, in as many connections as it takes; tries that bring nothing new are counted. */
async function complete(deps: DownloaderDeps, work: Work, signal: AbortSignal): Promise<void> {
  const { download, part, hooks } = work;
  let reached = -1;
  const onFailure = async (fault: Fault) => {
    const bytes = (await part.find(download.key))?.bytes ?? 0;
    const isFurther = bytes > reached && bytes > 0;
    reached = Math.max(reached, bytes);
    hooks.onNote(`${fault.message} ${bytes} bytes are there; trying again`);
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
      if (bytes > TEXT_BYTES_MAX) throw unusable(`${withoutQuery(answer.url)} answers more than a list.`);
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
  return new Fault(
    "source_digest_mismatch",
    `${where} has the SHA-256 ${found}, and ${sha256} was asked for.`,
    {
      details: { field: "sha256", value: sha256, found },
    },
  );
}
