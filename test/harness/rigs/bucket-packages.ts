/** A package store in a bucket: a real server behind a front that can break requests, and stores with folders of their own. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach } from "vitest";
import { createLog } from "../../../src/observe/log.ts";
import type { PackageStore } from "../../../src/packages/package-store.ts";
import { openS3Storage } from "../../../src/packages/s3/open-storage.ts";
import type { FileStore } from "../../../src/storage/file-store.ts";
import type { BucketSettings, CacheSettings } from "../../../src/storage/s3/settings.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { Scope } from "../../../src/util/scope.ts";
import { makeFolder } from "../servers/postgres.ts";
import { type S3Front, startS3Front } from "../servers/s3-front.ts";
import { type S3Server, startS3Server } from "../servers/s3-server.ts";

/** 3.2 MB: a transfer can be cut in the middle. */
export const TEXT = "0123456789abcdef".repeat(200_000);
/** What a caller is told while the bucket cannot be reached. */
export const UNAVAILABLE = { code: "package_store_unavailable" };

export type Changes = Partial<BucketSettings & CacheSettings> & { readonly startWaitMs?: number };

interface Opened {
  readonly store: PackageStore;
  readonly files: FileStore;
  readonly folder: string;
}

export interface BucketPackages {
  /** Runs at the start of each test. */
  readonly server: S3Server;
  readonly bucket: string;
  /** Of one test. */
  readonly front: S3Front;
  /** Ends with the test. */
  readonly scope: Scope;
  /** What all stores have logged. */
  readonly lines: Readonly<Record<string, unknown>>[];
  /** A store behind the front, with a folder of its own unless one is given. */
  open(changes?: Changes, folder?: string): Promise<Opened>;
  /** The file in which the server keeps the archive. */
  fileOf(identifier: string): string;
  /** How many requests for the archive the front has seen. */
  requests(method: string, identifier: string): number;
}

/** One server with one bucket for the tests of a file; what is answered may be used in them. */
export function useBucketPackages(): BucketPackages {
  let server: S3Server;
  let bucket: string;
  let front: S3Front;
  let scope: Scope;
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });

  beforeAll(async () => {
    server = await startS3Server();
    bucket = await server.createBucket();
  });
  afterAll(() => server?.[Symbol.asyncDispose]());
  beforeEach(async () => {
    scope = new Scope();
    front = scope.use(await startS3Front(server.endpoint));
    await server.start();
  });
  afterEach(() => scope.close());

  return {
    get server() {
      return server;
    },
    get bucket() {
      return bucket;
    },
    get front() {
      return front;
    },
    get scope() {
      return scope;
    },
    lines,
    async open({ startWaitMs = 0, ...changes } = {}, given) {
      const folder = given ?? scope.use(await makeFolder("s3-packages")).path;
      const settings = { ...server.settings(bucket), endpoint: front.endpoint, ...changes };
      const opened = scope.use(
        await openS3Storage({
          settings,
          folder,
          startWaitMs,
          clock: systemClock,
          log,
          signal: scope.signal,
          packagesFolder: "plugin_packages",
        }),
      );
      return { store: opened.packages, files: opened.files, folder };
    },
    fileOf: (identifier) => server.fileOf(bucket, `berth/plugin_packages/${identifier}`),
    requests(method, identifier) {
      const path = `/${bucket}/berth/plugin_packages/${identifier}`;
      return front.seen.filter((seen) => {
        const { pathname } = new URL(seen.path, front.endpoint);
        return seen.method === method && decodeURIComponent(pathname) === path;
      }).length;
    },
  };
}

export async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
