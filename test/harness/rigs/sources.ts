/** Servers that packages are fetched from, and clients of them with short timeouts. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { NO_PROXIES } from "../../../src/domain/proxy.ts";
import type { Source } from "../../../src/domain/source.ts";
import { createSources, type SourcesDeps } from "../../../src/sources/create-sources.ts";
import type { FetchHooks, SourceSettings } from "../../../src/sources/sources.ts";
import { Scope } from "../../../src/util/scope.ts";
import { openTlsContext } from "../../../src/util/tls-context.ts";
import { type Authority, makeAuthority } from "../servers/authority.ts";
import { type SourceServer, sha256, startSourceServer } from "../servers/source-server.ts";

export const BYTES = randomBytes(300_000);
export const MARKETPLACE = "/api/v1/plugins/download";
export const IDENTIFIER = `acme/echo:1.0.0@${"a".repeat(64)}`;
export const MARKET: Source = { type: "marketplace", identifier: IDENTIFIER };
export const RELEASE: Source = {
  type: "github",
  repo: "acme/echo",
  release: "v1.0.0/beta",
  asset: "echo 1.difypkg",
};
export const PUBLIC_PATH = "/acme/echo/releases/download/v1.0.0%2Fbeta/echo%201.difypkg";
export const RELEASE_PATH = "/api/repos/acme/echo/releases/tags/v1.0.0%2Fbeta";

interface SourceRig {
  readonly server: SourceServer;
  /** With a certificate of the authority. */
  readonly secure: SourceServer;
  readonly authority: Authority;
  /** Of one test. */
  readonly folder: string;
}

/** Servers for the tests of one file; what is answered may be used in them. */
export function useSources() {
  const scope = new Scope();
  let authority: Authority;
  let server: SourceServer;
  let secure: SourceServer;
  let folder: string;
  beforeAll(async () => {
    authority = scope.use(await makeAuthority());
    server = scope.use(await startSourceServer());
    const certificate = await authority.issue(["IP:127.0.0.1"]);
    secure = scope.use(await startSourceServer({ certificate }));
  });
  afterAll(() => scope.close());
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), "berth-fetch-"));
    return () => rm(folder, { recursive: true });
  });
  const rig: SourceRig = {
    get server() {
      return server;
    },
    get secure() {
      return secure;
    },
    get authority() {
      return authority;
    },
    get folder() {
      return folder;
    },
  };
  return {
    rig,
    fetching: (source: Source, options?: FetchOptions) => fetchFrom(rig, source, options),
    /** Of the server with a certificate; its query must appear in no message. */
    anUrl: (path: string, bytes: Uint8Array = BYTES): Source => ({
      type: "url",
      url: `${secure.url}${path}?signature=hush`,
      sha256: sha256(bytes),
    }),
  };
}

type FetchOptions = Partial<SourceSettings> & { lookup?: SourcesDeps["lookup"]; signal?: AbortSignal };

/** With short timeouts; the test's own servers are the only private addresses that may be reached. */
async function fetchFrom(
  { server, secure, authority, folder }: SourceRig,
  source: Source,
  options: FetchOptions = {},
) {
  const { lookup, signal = AbortSignal.timeout(30_000), ...changes } = options;
  const notes: string[] = [];
  const progress: { done: number; total?: number }[] = [];
  const hooks: FetchHooks = {
    onNote: (note) => void notes.push(note),
    onProgress: (count) => {
      progress.push(count);
      for (const one of [server, secure]) one.note(count.done);
    },
  };
  const sources = createSources({
    trust: await openTlsContext({ caBundleFile: authority.caFile }),
    settings: {
      github: { url: server.url, apiUrl: `${server.url}/api`, token: undefined },
      marketplace: { url: server.url, token: undefined },
      privateNetworks: ["127.0.0.1"],
      proxies: NO_PROXIES,
      redirectsMax: 3,
      bytesMax: 1_000_000,
      idleMs: 5_000,
      totalMs: 20_000,
      triesMax: 3,
      retryFirstMs: 5,
      retryMaxMs: 20,
      progressMs: 0,
      ...changes,
    },
    ...(lookup === undefined ? {} : { lookup }),
  });
  const before = server.asked.length;
  const outcome = await sources.fetch({ source, folder }, hooks, signal).then(
    async ({ path }) => ({ bytes: await readFile(path), error: undefined }),
    (error: unknown) => ({ bytes: undefined, error }),
  );
  return { ...outcome, notes, progress, asked: server.asked.slice(before) };
}
