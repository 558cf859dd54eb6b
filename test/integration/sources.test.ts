/** Fetching archives from servers that speak as marketplaces and release servers do, well and badly. */
import { randomBytes, randomUUID } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { NO_PROXIES } from "../../src/domain/proxy.ts";
import type { Source } from "../../src/domain/source.ts";
import { createSources, type SourcesDeps } from "../../src/sources/create-sources.ts";
import type { FetchHooks, SourceSettings } from "../../src/sources/sources.ts";
import { openTlsContext } from "../../src/util/tls-context.ts";
import { type Authority, makeAuthority } from "../harness/servers/authority.ts";
import { startRecordingProxy } from "../harness/servers/recording-proxy.ts";
import {
  file,
  json,
  redirect,
  type SourceServer,
  sha256,
  silence,
  startSourceServer,
  status,
} from "../harness/servers/source-server.ts";
import { bridgeAddress } from "../harness/servers/wheel-index.ts";

const BYTES = randomBytes(300_000);
const MARKETPLACE = "/api/v1/plugins/download";
const IDENTIFIER = `acme/echo:1.0.0@${"a".repeat(64)}`;
const MARKET: Source = { type: "marketplace", identifier: IDENTIFIER };
const RELEASE: Source = {
  type: "github",
  repo: "acme/echo",
  release: "v1.0.0/beta",
  asset: "echo 1.difypkg",
};
const PUBLIC_PATH = "/acme/echo/releases/download/v1.0.0%2Fbeta/echo%201.difypkg";
const RELEASE_PATH = "/api/repos/acme/echo/releases/tags/v1.0.0%2Fbeta";

let server: SourceServer;
let secure: SourceServer;
let authority: Authority;
let folder: string;
beforeAll(async () => {
  authority = await makeAuthority();
  server = await startSourceServer();
  secure = await startSourceServer({ certificate: await authority.issue(["IP:127.0.0.1"]) });
});
afterAll(async () => {
  for (const one of [server, secure, authority]) await one?.[Symbol.asyncDispose]();
});
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-fetch-"));
  return () => rm(folder, { recursive: true });
});

/** Short clocks; the test's own servers and no other private address may be reached. */
async function fetching(
  source: Source,
  options: Partial<SourceSettings> & { lookup?: SourcesDeps["lookup"]; signal?: AbortSignal } = {},
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

const anUrl = (path: string, bytes: Uint8Array = BYTES): Source => ({
  ...{ type: "url", url: `${secure.url}${path}?signature=hush` },
  sha256: sha256(bytes),
});

describe("the address of", () => {
  test("a marketplace's package holds its identifier, and the token goes with it", async () => {
    server.on(MARKETPLACE, file(BYTES));
    const { bytes, asked, progress } = await fetching(MARKET, {
      marketplace: { url: server.url, token: "market-token" },
    });
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked).toMatchObject([
      {
        path: `${MARKETPLACE}?unique_identifier=${encodeURIComponent(IDENTIFIER)}`,
        headers: { authorization: "Bearer market-token", "accept-encoding": "identity" },
      },
    ]);
    expect(progress.at(-1)).toEqual({ done: BYTES.length, total: BYTES.length });
  });

  test("a public release's asset is its page's, and the API is not asked", async () => {
    server.on(PUBLIC_PATH, redirect("/storage/echo"));
    server.on("/storage/echo", file(BYTES));
    const { bytes, asked } = await fetching(RELEASE);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked.map(({ path }) => path)).toEqual([PUBLIC_PATH, "/storage/echo"]);
  });

  test("a private release's asset is the API's, and whoever stores the file never sees the token", async () => {
    await using storage = await startSourceServer();
    server.on(
      RELEASE_PATH,
      json({
        assets: [
          { id: 6, name: "other" },
          { id: 7, name: "echo 1.difypkg" },
        ],
      }),
    );
    server.on("/api/repos/acme/echo/releases/assets/7", redirect(`${storage.url}/file?signed=1`));
    storage.on("/file", redirect(`${server.url}/back`));
    server.on("/back", file(BYTES));
    const github = { url: server.url, apiUrl: `${server.url}/api`, token: "github-token" };
    const { bytes, asked } = await fetching(RELEASE, { github });
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked.map(({ path, headers }) => [path, headers.accept, headers.authorization])).toEqual([
      [RELEASE_PATH, "application/vnd.github+json", "Bearer github-token"],
      ["/api/repos/acme/echo/releases/assets/7", "application/octet-stream", "Bearer github-token"],
      // back at its own host, but somebody else has said so
      ["/back", "application/octet-stream", undefined],
    ]);
    expect(storage.asked[0]?.headers.authorization).toBeUndefined();
  });

  test("an asset that a private release has not is refused with those that it has", async () => {
    server.on(RELEASE_PATH, json({ assets: [{ id: 6, name: "other.difypkg" }] }));
    const github = { url: server.url, apiUrl: `${server.url}/api`, token: "github-token" };
    const { error } = await fetching(RELEASE, { github });
    expect(error).toMatchObject({
      code: "source_not_found",
      details: { field: "source.asset", value: "echo 1.difypkg", accepted: ["other.difypkg"] },
    });
  });

  test("a URL is the URL, without any token; its query is in no message", async () => {
    secure.on("/echo", status(404));
    const { error } = await fetching(anUrl("/echo"), {
      github: { url: secure.url, apiUrl: secure.url, token: "github-token" },
      marketplace: { url: secure.url, token: "market-token" },
    });
    expect(secure.asked.at(-1)).toMatchObject({ path: "/echo?signature=hush" });
    expect(secure.asked.at(-1)?.headers.authorization).toBeUndefined();
    expect(error).toMatchObject({
      code: "source_not_found",
      message: expect.stringContaining("/echo does not exist"),
    });
    expect(String(error)).not.toContain("hush");
  });
});

describe("a download that is cut", () => {
  test("goes on where it was, under the same entity tag", async () => {
    const etag = '"one"';
    server.on(MARKETPLACE, file(BYTES, { etag, cutAfter: 100_000 }), file(BYTES, { etag }));
    const { bytes, asked, notes, progress } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked.map(({ headers }) => [headers.range, headers["if-range"]])).toEqual([
      [undefined, undefined],
      ["bytes=100000-", etag],
    ]);
    expect(notes).toEqual([expect.stringContaining("100000 bytes have arrived")]);
    expect(progress.map(({ done }) => done)).toEqual(
      progress.map(({ done }) => done).toSorted((a, b) => a - b),
    );
  });

  test("may be cut at every connection, as long as each brings something", async () => {
    const etag = '"one"';
    server.on(MARKETPLACE, file(BYTES, { etag, cutAfter: 50_000 }));
    const { bytes, asked } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked).toHaveLength(6);
  });

  test.each([
    ["offers no ranges", file(BYTES, { cutAfter: 100_000 }), file(BYTES)],
    [
      "has another file by then",
      file(randomBytes(9), { etag: '"a"', cutAfter: 5 }),
      file(BYTES, { etag: '"b"' }),
    ],
    [
      "does not say how long it is",
      file(BYTES, { isChunked: true, cutAfter: 9 }),
      file(BYTES, { isChunked: true }),
    ],
  ])("begins anew where the server %s", async (_why, first, second) => {
    server.on(MARKETPLACE, first, second);
    const { bytes, asked } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked).toHaveLength(2);
  });

  test("begins anew where the server goes on somewhere else", async () => {
    const wrong = status(206, { "content-range": "bytes 5-9/10", "content-length": "5" }, "wrong");
    for (const answer of [wrong, status(416)]) {
      server.on(
        MARKETPLACE,
        file(BYTES, { etag: '"x"', cutAfter: 100 }),
        answer,
        file(BYTES, { etag: '"x"' }),
      );
      const { bytes, asked } = await fetching(MARKET);
      expect(bytes?.equals(BYTES)).toBe(true);
      expect(asked.map(({ headers }) => headers.range)).toEqual([undefined, "bytes=100-", undefined]);
      await rm(join(folder, "origin.json"));
    }
  });

  test("or that a server gives in pieces, is put together", async () => {
    const etag = '"one"';
    server.on(MARKETPLACE, file(BYTES, { etag, cutAfter: 100_000 }), (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? "")?.[0]);
      const piece = BYTES.subarray(from, from + 80_000);
      const range = `bytes ${from}-${from + piece.length - 1}/${BYTES.length}`;
      response.writeHead(206, { etag, "content-range": range, "content-length": piece.length }).end(piece);
    });
    const { bytes, asked } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked).toHaveLength(4);
  });

  test("is given up after so many tries without a byte more, and the next one goes on with what is there", async () => {
    const etag = '"one"';
    const cut = file(BYTES, { etag, cutAfter: 100_000 });
    server.on(MARKETPLACE, cut, (_request, response) => void response.destroy());
    const first = await fetching(MARKET);
    expect(first.error).toMatchObject({ code: "source_unreachable" });
    expect(first.asked).toHaveLength(3);
    server.on(MARKETPLACE, file(BYTES, { etag }));
    const { bytes, asked } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked.map(({ headers }) => headers.range)).toEqual(["bytes=100000-"]);
  });

  test("that was whole already is not asked for again; another source's is not taken for it", async () => {
    server.on(MARKETPLACE, file(BYTES));
    await fetching(MARKET);
    expect((await fetching(MARKET)).asked).toEqual([]);
    const other = await fetching({ type: "marketplace", identifier: `acme/other:1.0.0@${"b".repeat(64)}` });
    expect(other.asked).toHaveLength(1);
  });
});

describe("a digest", () => {
  test("that differs is a refusal with both", async () => {
    secure.on("/echo", file(BYTES));
    const { error } = await fetching(anUrl("/echo", Buffer.from("something else")));
    expect(error).toMatchObject({
      code: "source_digest_mismatch",
      details: { field: "sha256", value: sha256(Buffer.from("something else")), found: sha256(BYTES) },
    });
  });

  test("that differs because of what an earlier try left is a download from the start", async () => {
    secure.on(
      "/echo",
      file(BYTES, { etag: '"x"', cutAfter: 1000 }),
      (_, response) => void response.destroy(),
    );
    await fetching(anUrl("/echo"));
    await truncate(join(folder, "archive"), 0);
    await writeFile(join(folder, "archive"), randomBytes(1000));
    secure.on("/echo", file(BYTES, { etag: '"x"' }));
    const { bytes, notes } = await fetching(anUrl("/echo"));
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(notes).toEqual([expect.stringContaining("damaged")]);
  });

  test("of the API's own list counts as well", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    server.on(RELEASE_PATH, json({ assets: [{ id: 7, name: "echo 1.difypkg", digest }] }));
    server.on("/api/repos/acme/echo/releases/assets/7", file(BYTES));
    const github = { url: server.url, apiUrl: `${server.url}/api`, token: "github-token" };
    expect((await fetching(RELEASE, { github })).error).toMatchObject({ code: "source_digest_mismatch" });
  });
});

describe("an answer of", () => {
  test.each([
    [404, "source_not_found", "BERTH_MARKETPLACE_TOKEN"],
    [410, "source_not_found", ""],
    [401, "source_forbidden", "BERTH_MARKETPLACE_TOKEN"],
    [403, "source_forbidden", "BERTH_MARKETPLACE_TOKEN"],
    [400, "source_unusable", "400"],
    [204, "source_unusable", "204"],
  ])("%d is %s, at once", async (code, fault, says) => {
    server.on(MARKETPLACE, status(code));
    const { error, asked } = await fetching(MARKET);
    expect(error).toMatchObject({ code: fault, message: expect.stringContaining(says) });
    expect(asked).toHaveLength(1);
    expect(await readdir(folder)).toEqual([]);
  });

  test("503 is tried again, and source_unreachable when it stays", async () => {
    server.on(MARKETPLACE, status(503), status(500), file(BYTES));
    expect((await fetching(MARKET)).bytes?.equals(BYTES)).toBe(true);
    await rm(join(folder, "origin.json"));
    server.on(MARKETPLACE, status(503));
    const { error, asked } = await fetching(MARKET);
    expect(error).toMatchObject({ code: "source_unreachable", details: { status: 503 } });
    expect(asked).toHaveLength(3);
  });

  const inAnHour = Math.ceil(Date.now() / 1000) + 3600;
  test.each([
    [403, { "x-ratelimit-remaining": "0", "x-ratelimit-reset": String(inAnHour) }, 3600],
    [403, { "retry-after": "90" }, 90],
    [429, { "retry-after": new Date(Date.now() + 120_000).toUTCString() }, 120],
    [429, {}, 60],
  ])("%d with %j is a rate limit that says until when", async (code, headers, seconds) => {
    server.on(MARKETPLACE, status(code, headers));
    const { error, asked } = await fetching(MARKET);
    expect(error).toMatchObject({ code: "source_rate_limited", details: { retry_at: expect.any(String) } });
    expect(asked).toHaveLength(1);
    const { retry_at } = Reflect.get(error as object, "details");
    expect((Date.parse(retry_at) - Date.now()) / 1000).toBeGreaterThan(seconds - 20);
    expect((Date.parse(retry_at) - Date.now()) / 1000).toBeLessThan(seconds + 20);
  });
});

describe("a redirect", () => {
  test("to an address that is not public is refused, and nobody is asked there", async () => {
    await using inside = await startSourceServer({ host: "127.0.0.2" });
    inside.on("/secrets", file(BYTES));
    const { port } = inside;
    for (const host of ["127.0.0.2", "127.2", "0x7f000002", "[::ffff:127.0.0.2]", "inside.example"]) {
      server.on(MARKETPLACE, redirect(`http://${host}:${port}/secrets`));
      const lookup = () => Promise.resolve([{ address: "127.0.0.2", family: 4 }]);
      const { error } = await fetching(MARKET, { lookup });
      expect(error).toMatchObject({ code: "source_address_refused" });
    }
    expect(inside.asked).toEqual([]);
  });

  test("without end is given up", async () => {
    server.on(MARKETPLACE, redirect(MARKETPLACE));
    const { error, asked } = await fetching(MARKET);
    expect(error).toMatchObject({
      code: "source_unusable",
      message: expect.stringContaining("more than 3 times"),
    });
    expect(asked).toHaveLength(4);
  });

  test("from https to http, to nowhere, or with a password in it, is not followed", async () => {
    for (const to of [
      `${server.url}/echo`,
      "http://",
      `https://me:hush@127.0.0.1:${secure.port}/x`,
      "ftp://a.example/",
    ]) {
      secure.on("/echo", redirect(to));
      const { error, asked } = await fetching(anUrl("/echo"));
      expect(error).toMatchObject({ code: "source_unusable" });
      expect(String(error)).not.toContain("hush");
      expect(asked).toEqual([]);
    }
  });
});

test("a name that means another address at the second look is connected to where the first look was checked", async () => {
  await using inside = await startSourceServer({ host: "127.0.0.2" });
  server.on(MARKETPLACE, file(BYTES));
  const answers = ["127.0.0.1", "127.0.0.2"];
  const looks: string[] = [];
  const lookup = (host: string) => {
    looks.push(host);
    return Promise.resolve([{ address: answers.shift() ?? "127.0.0.2", family: 4 }]);
  };
  const marketplace = { url: `http://market.example:${server.port}`, token: undefined };
  const { bytes } = await fetching(MARKET, { lookup, marketplace });
  expect(bytes?.equals(BYTES)).toBe(true);
  expect([looks, inside.asked]).toEqual([["market.example"], []]);
});

describe("what is too much:", () => {
  test.each([
    ["by its length, before a byte is written", {}, 0],
    ["while it comes, and no more than the limit is written", { isChunked: true }, 200_000],
  ])("a file that is too large is refused %s", async (_when, options, bytesWritten) => {
    server.on(MARKETPLACE, file(BYTES, options));
    const { error } = await fetching(MARKET, { bytesMax: 200_000 });
    expect(error).toMatchObject({
      code: "package_too_large",
      details: { accepted: "at most 200000 bytes" },
    });
    expect((await readFile(join(folder, "archive"))).length).toBeLessThanOrEqual(bytesWritten);
  });

  test("silence is cut and tried again, and given up with the clock's name", async () => {
    for (const answer of [silence, file(BYTES, { hangAfter: 1000 })]) {
      server.on(MARKETPLACE, answer);
      const { error, asked } = await fetching(MARKET, { idleMs: 100 });
      expect(error).toMatchObject({
        code: "source_unreachable",
        details: { clock: "idle", limit_ms: 100 },
      });
      expect(asked.length).toBeGreaterThanOrEqual(3);
    }
  });

  test("a download that takes too long altogether ends by its own clock, however it drips", async () => {
    server.on(MARKETPLACE, (_request, response) => {
      response.writeHead(200, { "content-length": "1000000" });
      const drip = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(drip));
    });
    const { error } = await fetching(MARKET, { totalMs: 400 });
    expect(error).toMatchObject({ code: "source_timeout", details: { clock: "total", limit_ms: 400 } });
  });

  test("that clock runs in the pauses between tries too", async () => {
    server.on(MARKETPLACE, status(503));
    const { error } = await fetching(MARKET, { totalMs: 200, retryFirstMs: 60_000, retryMaxMs: 60_000 });
    expect(error).toMatchObject({ code: "source_timeout", details: { clock: "total" } });
  });

  test("a caller who gives up ends it with the caller's reason", async () => {
    server.on(MARKETPLACE, silence);
    const giving = new AbortController();
    const asked = server.count(MARKETPLACE);
    const outcome = fetching(MARKET, { signal: giving.signal });
    await server.seen(MARKETPLACE, asked + 1);
    giving.abort(new Error("enough"));
    expect((await outcome).error).toMatchObject({ message: "enough" });
  });
});

describe("a server", () => {
  test("that nobody finds, or that does not listen, is source_unreachable", async () => {
    const gone = await startSourceServer();
    await gone[Symbol.asyncDispose]();
    const refused = await fetching(MARKET, { marketplace: { url: gone.url, token: undefined } });
    expect(refused.error).toMatchObject({
      code: "source_unreachable",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    const lookup = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const marketplace = { url: "http://market.example", token: undefined };
    expect((await fetching(MARKET, { marketplace, lookup })).error).toMatchObject({
      code: "source_unreachable",
      message: expect.stringContaining("unknown host"),
    });
  });

  test("whose certificate nobody trusts is source_unusable, at once", async () => {
    await using stranger = await makeAuthority();
    const certificate = await stranger.issue(["IP:127.0.0.1"]);
    await using untrusted = await startSourceServer({ certificate });
    const { error, notes } = await fetching(MARKET, {
      marketplace: { url: untrusted.url, token: undefined },
    });
    expect(error).toMatchObject({ code: "source_unusable", message: expect.stringContaining("not trusted") });
    expect([notes, untrusted.asked]).toEqual([[], []]);
  });
});

describe("through the operator's proxy", () => {
  test("both kinds of addresses are reached, names are the proxy's, and what NO_PROXY names is not", async () => {
    const password = randomUUID();
    await using proxy = await startRecordingProxy(password);
    const certificate = await authority.issue(["DNS:market.example"]);
    const host = bridgeAddress();
    await using plain = await startSourceServer({ host });
    await using tls = await startSourceServer({ host, certificate });
    const unknown = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const proxies = { http: proxy.url, https: proxy.url, bypass: "direct.example" };
    for (const [url, at] of [
      [`http://market.example:${plain.port}`, plain],
      [`https://market.example:${tls.port}`, tls],
    ] as const) {
      at.on(MARKETPLACE, file(BYTES));
      const { bytes, error } = await fetching(MARKET, {
        ...{ marketplace: { url, token: undefined }, proxies, lookup: unknown },
      });
      expect(error).toBeUndefined();
      expect(bytes?.equals(BYTES)).toBe(true);
      await rm(join(folder, "origin.json"));
    }
    expect(proxy.asked).toEqual([
      expect.stringContaining(`GET http://market.example:${plain.port}${MARKETPLACE}`),
      `CONNECT market.example:${tls.port}`,
    ]);

    const direct = { url: `http://direct.example:${plain.port}`, token: undefined };
    await fetching(MARKET, { marketplace: direct, proxies, lookup: unknown });
    expect(proxy.asked).toHaveLength(2);
  });

  test("an address that is known here not to be public is refused all the same", async () => {
    await using proxy = await startRecordingProxy(randomUUID());
    const proxies = { http: proxy.url, https: proxy.url, bypass: "" };
    const lookup = () => Promise.resolve([{ address: "10.0.0.5", family: 4 }]);
    for (const url of ["http://10.0.0.5", "http://inside.example"]) {
      const { error } = await fetching(MARKET, { marketplace: { url, token: undefined }, proxies, lookup });
      expect(error).toMatchObject({ code: "source_address_refused" });
    }
    expect(proxy.asked).toEqual([]);
  });

  test("a proxy that refuses is source_unreachable, without its password", async () => {
    await using proxy = await startRecordingProxy("right");
    const proxies = { ...NO_PROXIES, https: proxy.url.replace(":right@", ":hush@") };
    const marketplace = { url: "https://market.example", token: undefined };
    const lookup = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const { error } = await fetching(MARKET, { marketplace, proxies, lookup });
    expect(error).toMatchObject({ code: "source_unreachable" });
    expect(JSON.stringify([String(error), (error as Error).message])).not.toContain("hush");
  });
});
