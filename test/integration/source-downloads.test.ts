/** Downloads of packages: cut, resumed, checked by their digest, refused, and bounded in size and time. */
import { randomBytes } from "node:crypto";
import { readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { BYTES, MARKET, MARKETPLACE, RELEASE, RELEASE_PATH, useSources } from "../harness/rigs/sources.ts";
import { file, json, sha256, silence, status } from "../harness/servers/source-server.ts";

const { rig, fetching, anUrl } = useSources();

describe("a download that breaks off", () => {
  test("continues where it stopped, under the same entity tag", async () => {
    const etag = '"one"';
    rig.server.on(MARKETPLACE, file(BYTES, { etag, cutAfter: 100_000 }), file(BYTES, { etag }));
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

  test("may break off at every connection, as long as each connection brings bytes", async () => {
    const etag = '"one"';
    rig.server.on(MARKETPLACE, file(BYTES, { etag, cutAfter: 50_000 }));
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
      "does not report the length",
      file(BYTES, { isChunked: true, cutAfter: 9 }),
      file(BYTES, { isChunked: true }),
    ],
  ])("starts again if the server %s", async (_why, first, second) => {
    rig.server.on(MARKETPLACE, first, second);
    const { bytes, asked } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked).toHaveLength(2);
  });

  test("starts again if the server continues at another offset", async () => {
    const wrong = status(206, { "content-range": "bytes 5-9/10", "content-length": "5" }, "wrong");
    for (const answer of [wrong, status(416)]) {
      rig.server.on(
        MARKETPLACE,
        file(BYTES, { etag: '"x"', cutAfter: 100 }),
        answer,
        file(BYTES, { etag: '"x"' }),
      );
      const { bytes, asked } = await fetching(MARKET);
      expect(bytes?.equals(BYTES)).toBe(true);
      expect(asked.map(({ headers }) => headers.range)).toEqual([undefined, "bytes=100-", undefined]);
      await rm(join(rig.folder, "origin.json"));
    }
  });

  test("or arrives in pieces is assembled", async () => {
    const etag = '"one"';
    rig.server.on(MARKETPLACE, file(BYTES, { etag, cutAfter: 100_000 }), (request, response) => {
      const from = Number(/\d+/.exec(request.headers.range ?? "")?.[0]);
      const piece = BYTES.subarray(from, from + 80_000);
      const range = `bytes ${from}-${from + piece.length - 1}/${BYTES.length}`;
      response.writeHead(206, { etag, "content-range": range, "content-length": piece.length }).end(piece);
    });
    const { bytes, asked } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked).toHaveLength(4);
  });

  test("fails after the configured tries without a new byte, and the next fetch continues with the bytes there", async () => {
    const etag = '"one"';
    const cut = file(BYTES, { etag, cutAfter: 100_000 });
    rig.server.on(MARKETPLACE, cut, (_request, response) => void response.destroy());
    const first = await fetching(MARKET);
    expect(first.error).toMatchObject({ code: "source_unreachable" });
    expect(first.asked).toHaveLength(3);
    rig.server.on(MARKETPLACE, file(BYTES, { etag }));
    const { bytes, asked } = await fetching(MARKET);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked.map(({ headers }) => headers.range)).toEqual(["bytes=100000-"]);
  });

  test("that was complete is not fetched again, and is not used for another source", async () => {
    rig.server.on(MARKETPLACE, file(BYTES));
    await fetching(MARKET);
    expect((await fetching(MARKET)).asked).toEqual([]);
    const other = await fetching({ type: "marketplace", identifier: `acme/other:1.0.0@${"b".repeat(64)}` });
    expect(other.asked).toHaveLength(1);
  });
});

describe("a digest", () => {
  test("that differs is refused with both values", async () => {
    rig.secure.on("/echo", file(BYTES));
    const { error } = await fetching(anUrl("/echo", Buffer.from("something else")));
    expect(error).toMatchObject({
      code: "source_digest_mismatch",
      details: { field: "sha256", value: sha256(Buffer.from("something else")), found: sha256(BYTES) },
    });
  });

  test("that differs because of an earlier partial file causes a download from the start", async () => {
    rig.secure.on(
      "/echo",
      file(BYTES, { etag: '"x"', cutAfter: 1000 }),
      (_, response) => void response.destroy(),
    );
    await fetching(anUrl("/echo"));
    await truncate(join(rig.folder, "archive"), 0);
    await writeFile(join(rig.folder, "archive"), randomBytes(1000));
    rig.secure.on("/echo", file(BYTES, { etag: '"x"' }));
    const { bytes, notes } = await fetching(anUrl("/echo"));
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(notes).toEqual([expect.stringContaining("damaged")]);
  });

  test("of the API's list of assets is checked as well", async () => {
    const digest = `sha256:${"0".repeat(64)}`;
    rig.server.on(RELEASE_PATH, json({ assets: [{ id: 7, name: "echo 1.difypkg", digest }] }));
    rig.server.on("/api/repos/acme/echo/releases/assets/7", file(BYTES));
    const github = { url: rig.server.url, apiUrl: `${rig.server.url}/api`, token: "github-token" };
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
  ])("%d fails at once with %s", async (code, fault, says) => {
    rig.server.on(MARKETPLACE, status(code));
    const { error, asked } = await fetching(MARKET);
    expect(error).toMatchObject({ code: fault, message: expect.stringContaining(says) });
    expect(asked).toHaveLength(1);
    expect(await readdir(rig.folder)).toEqual([]);
  });

  test("503 is retried, and fails with source_unreachable if it persists", async () => {
    rig.server.on(MARKETPLACE, status(503), status(500), file(BYTES));
    expect((await fetching(MARKET)).bytes?.equals(BYTES)).toBe(true);
    await rm(join(rig.folder, "origin.json"));
    rig.server.on(MARKETPLACE, status(503));
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
  ])("%d with %j is a rate limit with the time of the next try", async (code, headers, seconds) => {
    rig.server.on(MARKETPLACE, status(code, headers));
    const { error, asked } = await fetching(MARKET);
    expect(error).toMatchObject({ code: "source_rate_limited", details: { retry_at: expect.any(String) } });
    expect(asked).toHaveLength(1);
    const { retry_at } = Reflect.get(error as object, "details");
    expect((Date.parse(retry_at) - Date.now()) / 1000).toBeGreaterThan(seconds - 20);
    expect((Date.parse(retry_at) - Date.now()) / 1000).toBeLessThan(seconds + 20);
  });
});

describe("the bounds of a download", () => {
  test.each([
    ["by its length, before a byte is written", {}, 0],
    ["while it arrives, and no more than the limit is written", { isChunked: true }, 200_000],
  ])("a file that is too large is refused %s", async (_when, options, bytesWritten) => {
    rig.server.on(MARKETPLACE, file(BYTES, options));
    const { error } = await fetching(MARKET, { bytesMax: 200_000 });
    expect(error).toMatchObject({
      code: "package_too_large",
      details: { accepted: "at most 200000 bytes" },
    });
    expect((await readFile(join(rig.folder, "archive"))).length).toBeLessThanOrEqual(bytesWritten);
  });

  test("a silent server is disconnected and retried, and the failure names the timeout", async () => {
    for (const answer of [silence, file(BYTES, { hangAfter: 1000 })]) {
      rig.server.on(MARKETPLACE, answer);
      const { error, asked } = await fetching(MARKET, { idleMs: 100 });
      expect(error).toMatchObject({
        code: "source_unreachable",
        details: { clock: "idle", limit_ms: 100 },
      });
      expect(asked.length).toBeGreaterThanOrEqual(3);
    }
  });

  test("a slow download ends at its total timeout although bytes arrive", async () => {
    rig.server.on(MARKETPLACE, (_request, response) => {
      response.writeHead(200, { "content-length": "1000000" });
      const drip = setInterval(() => response.write("x"), 20);
      response.on("close", () => clearInterval(drip));
    });
    const { error } = await fetching(MARKET, { totalMs: 400 });
    expect(error).toMatchObject({ code: "source_timeout", details: { clock: "total", limit_ms: 400 } });
  });

  test("the total timeout includes the pauses between tries", async () => {
    rig.server.on(MARKETPLACE, status(503));
    const { error } = await fetching(MARKET, { totalMs: 200, retryFirstMs: 60_000, retryMaxMs: 60_000 });
    expect(error).toMatchObject({ code: "source_timeout", details: { clock: "total" } });
  });

  test("an abort ends the download with the caller's reason", async () => {
    rig.server.on(MARKETPLACE, silence);
    const giving = new AbortController();
    const asked = rig.server.count(MARKETPLACE);
    const outcome = fetching(MARKET, { signal: giving.signal });
    await rig.server.seen(MARKETPLACE, asked + 1);
    giving.abort(new Error("enough"));
    expect((await outcome).error).toMatchObject({ message: "enough" });
  });
});
