/**
 * `berth export` and `berth import`: packages with their images, as files. They call the running Berth with the same
 * settings. If api and worker are separate they use database and engine directly, because an api has no engine.
 */
import { createReadStream, createWriteStream } from "node:fs";
import { rename, rm, stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { openTransfers } from "../app/transfers.ts";
import type { Config } from "../config.ts";
import { invalidInput } from "../domain/fault.ts";
import { createLog } from "../observe/log.ts";
import { openInstance } from "./instance.ts";

const Imported = z.object({ identifier: z.string(), arch: z.string() });

/** Throws the error that the instance answers with. An incomplete file is removed. */
export async function exportPackage({
  config,
  identifier,
  out,
}: {
  readonly config: Config;
  readonly identifier: string;
  readonly out: string | undefined;
}): Promise<void> {
  const open = isSplit(config) ? ofParts : ofInstance;
  await using found = await open(config, identifier);
  const path = resolve(out ?? basename(found.name));
  const draft = `${path}.part`;
  try {
    await pipeline(found.content, createWriteStream(draft));
    const { size } = await stat(draft);
    if (size !== found.bytes)
      throw new Error(`the export ended early: ${size} of ${found.bytes} bytes arrived`);
    await rename(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
  process.stdout.write(`${identifier}\n${path} (${found.bytes} bytes)\n`);
}

export async function importPackage({
  config,
  file,
}: {
  readonly config: Config;
  readonly file: string;
}): Promise<void> {
  await stat(file).catch(() => {
    throw invalidInput("FILE", file, "a file written by berth export");
  });
  const body = createReadStream(file);
  if (isSplit(config)) {
    await using transfers = await openTransfers(config, createLog({ level: "error" }));
    const { stored, arch } = await transfers.import(body, {}, new AbortController().signal);
    return say(stored.identifier, arch);
  }
  const instance = await openInstance(config, 0);
  const answer = await instance.send("POST", "/v1/imports", { body, type: "application/x-tar" });
  const { identifier, arch } = Imported.parse(await answer.json());
  say(identifier, arch);
}

interface Export extends AsyncDisposable {
  readonly name: string;
  readonly bytes: number;
  readonly content: Readable;
}

async function ofInstance(config: Config, identifier: string): Promise<Export> {
  const instance = await openInstance(config, 0);
  const answer = await instance.send("GET", `/v1/exports/${identifier}`);
  const content = answer.body === null ? Readable.from([]) : Readable.fromWeb(answer.body);
  const named = /filename="([^"]+)"/.exec(answer.headers.get("content-disposition") ?? "")?.[1];
  return {
    name: named ?? "export.berth.tar",
    bytes: Number(answer.headers.get("content-length")),
    content,
    [Symbol.asyncDispose]: async () => void content.destroy(),
  };
}

async function ofParts(config: Config, identifier: string): Promise<Export> {
  const transfers = await openTransfers(config, createLog({ level: "error" }));
  try {
    const { name, bytes, content, ...exported } = await transfers.export(
      identifier,
      new AbortController().signal,
    );
    return {
      name,
      bytes,
      content,
      async [Symbol.asyncDispose]() {
        await exported[Symbol.asyncDispose]();
        await transfers[Symbol.asyncDispose]();
      },
    };
  } catch (error) {
    await transfers[Symbol.asyncDispose]();
    throw error;
  }
}

function isSplit({ settings }: Config): boolean {
  return settings.DATABASE_URL !== undefined && settings.REDIS_URL !== undefined;
}

function say(identifier: string, arch: string): void {
  process.stdout.write(`imported ${identifier} with its image for ${arch}; installing it needs no network\n`);
}
