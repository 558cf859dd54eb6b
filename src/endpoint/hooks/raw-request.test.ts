import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type IncomingMessage } from "node:http";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { buffer } from "node:stream/consumers";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { z } from "zod";
import { formatRawRequest, type HookAddress, parseHookAddress, withSlash } from "./raw-request.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what it looks for
const CONTROLS = /[\x00-\x08\x0a-\x1f\x7f]/;
const HOOK = "abcdefgh12345678";
const Vectors = z.array(z.object({ name: z.string(), sent: z.string(), raw: z.string() }));

/** Recorded from the daemon's own code (Go 1.26): what came over a socket, and what it made of it. */
const VECTORS = Vectors.parse(
  JSON.parse(await readFile(join(import.meta.dirname, "raw-request.vectors.json"), "utf8")),
);

/** Where we differ on purpose. */
const REFUSED_BY_NODE = ["raw bytes beyond ASCII in the path", "length given twice"];
const WITHOUT_CHUNKS = (raw: string) =>
  raw
    .replace("Transfer-Encoding: chunked\r\n", "Content-Length: 0\r\n")
    .replace(/\r\n\r\n0\r\n\r\n$/, "\r\n\r\n");
const ONE_LINE = (raw: string) =>
  raw.replace(/^Dify-Hook-Url.*$/m, (line) => line.replaceAll(new RegExp(CONTROLS, "g"), " "));

describe("must be identical 9: the raw request of a hook is the daemon's, byte by byte", () => {
  test.each(VECTORS.filter(({ name }) => !REFUSED_BY_NODE.includes(name)))("$name", async ({ sent, raw }) => {
    // improved 7: an empty body has a length; and no control character is left in a header
    expect(await rawOf(sent)).toBe(ONE_LINE(WITHOUT_CHUNKS(raw)));
  });

  test.each(VECTORS.filter(({ name }) => REFUSED_BY_NODE.includes(name)))(
    "$name: refused before it is a request",
    async ({ sent }) => {
      expect(await rawOf(sent)).toBe("refused");
    },
  );
});

test("an address that ends with the hook id redirects to the address with a slash and the same query", () => {
  const address = parseHookAddress(`/e/${HOOK}?a=1`);
  expect(address).toMatchObject({ hookId: HOOK, path: "" });
  if (typeof address === "object") expect(withSlash(address)).toBe(`/e/${HOOK}/?a=1`);
  const forged = parseHookAddress("/e/%0d%0aSet-Cookie:%20a");
  if (typeof forged === "object") expect(withSlash(forged)).toBe("/e/%0D%0ASet-Cookie:%20a/");
});

test("an address of no hook is distinguished from a malformed address", () => {
  expect(["/e/", "/e", "/x/y", "/e//x"].map(parseHookAddress)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
  expect(parseHookAddress(`/e/${HOOK}/%zz`)).toBe("malformed");
});

const byte = fc.integer({ min: 0, max: 255 }).map((code) => String.fromCharCode(code));
const bytes = fc.array(byte, { maxLength: 12 }).map((all) => all.join(""));
const token = fc.stringMatching(/^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,12}$/);
const OWN =
  /^(host|user-agent|content-length|transfer-encoding|trailer|dify-hook-.*|x-.*|pragma|cache-control)$/i;

const asked = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"),
  path: bytes.map((path) => `/${path}`),
  query: fc.array(fc.tuple(bytes, bytes), { maxLength: 4 }),
  headers: fc.array(
    fc.tuple(
      token.filter((name) => !OWN.test(name)),
      bytes,
    ),
    { maxLength: 5 },
  ),
  host: fc.constantFrom("a.example", "a.example:8080", "[::1]:1"),
  body: fc.uint8Array({ maxLength: 64 }).map((body) => Buffer.from(body)),
});

const escaped = (text: string) =>
  [...text].map((character) => `%${character.charCodeAt(0).toString(16).padStart(2, "0")}`).join("");

describe("for any request", () => {
  test("the raw request reads back as the same method, path, query, headers and body", () => {
    fc.assert(
      fc.property(asked, ({ method, path, query, headers, host, body }) => {
        const pairs = query.map(([key, value]) => `${escaped(key)}=${escaped(value)}`).join("&");
        const address = addressOf(
          `/e/${HOOK}${path.replaceAll(/[^/]/g, escaped)}${pairs === "" ? "" : `?${pairs}`}`,
        );
        const raw = formatRawRequest(
          { method, httpVersion: "1.1", isTls: false, body, rawHeaders: ["Host", host, ...headers.flat()] },
          address,
        );
        const read = readBack(raw);
        expect(read.method).toBe(method);
        expect(read.path).toBe(path);
        expect(read.query).toEqual([...query].sort(([a], [b]) => (a < b ? -1 : Number(a > b))));
        expect(read.body).toEqual(body);
        expect(read.headers.get("host")).toEqual([host]);
        expect(read.headers.get("dify-hook-id")).toEqual([HOOK]);
        const wanted = new Map<string, string[]>();
        for (const [name, value] of headers) {
          const values = wanted.get(name.toLowerCase()) ?? [];
          wanted.set(name.toLowerCase(), [...values, oneLine(value)]);
        }
        for (const [name, values] of wanted) expect(read.headers.get(name)).toEqual(values);
        // nothing that the caller sent has become a line of its own
        expect(read.names.filter((name) => !wanted.has(name) && !OWN.test(name))).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  test("host names, hook ids, forwarded headers and versions cannot add a header line", () => {
    const anything = fc.record({ host: bytes, original: bytes, url: bytes, agent: bytes, proto: bytes });
    fc.assert(
      fc.property(
        anything,
        fc.constantFrom("1.0", "1.1"),
        ({ host, original, url, agent, proto }, httpVersion) => {
          const forwarded = ["X-Original-Host", original, "Dify-Hook-Url", url, "X-Forwarded-Proto", proto];
          const rawHeaders = ["Host", host, "User-Agent", agent, ...forwarded];
          const request = { method: "POST", httpVersion, isTls: true, body: Buffer.from("x"), rawHeaders };
          const { names, body } = readBack(
            formatRawRequest(request, { hookId: url, path: `/${host}`, query: "" }),
          );
          const known = [
            "host",
            "user-agent",
            "connection",
            "content-length",
            "dify-hook-id",
            "dify-hook-url",
          ];
          expect(names.filter((name) => ![...known, "x-forwarded-proto"].includes(name))).toEqual([]);
          expect(body.toString()).toBe("x");
        },
      ),
    );
  });
});

function addressOf(url: string): HookAddress {
  const address = parseHookAddress(url);
  if (typeof address !== "object") throw new Error(`${url} is no address`);
  return address;
}

function oneLine(value: string): string {
  return value.replaceAll(new RegExp(CONTROLS, "g"), " ").replaceAll(/^[ \t]+|[ \t]+$/g, "");
}

/** Reads as strictly as anybody may: lines end with CRLF and hold no other control character but tabs. */
function readBack(raw: Buffer) {
  const text = raw.toString("latin1");
  const end = text.indexOf("\r\n\r\n");
  const [first = "", ...lines] = text.slice(0, end).split("\r\n");
  for (const line of [first, ...lines]) expect(line).not.toMatch(CONTROLS);
  const [, method, target = "", ...more] = /^(\S+) (\S+) HTTP\/1\.1$/.exec(first) ?? [];
  expect(more).toEqual([]);
  const headers = new Map<string, string[]>();
  for (const line of lines) {
    const [, name = "", value = ""] = /^([\w!#$%&'*+\-.^`|~]+): ?(.*)$/.exec(line) ?? [];
    headers.set(name.toLowerCase(), [...(headers.get(name.toLowerCase()) ?? []), value]);
  }
  const body = raw.subarray(end + 4);
  const length = headers.get("content-length");
  if (body.length > 0) expect(length).toEqual([String(body.length)]);
  const [path = "", query] = target.split("?", 2);
  const decoded = (part: string) =>
    part.replaceAll(/%([0-9A-F]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
  const pairs = query === undefined || query === "" ? [] : query.split("&");
  return {
    method,
    headers,
    names: [...headers.keys()],
    body,
    path: decoded(path),
    query: pairs.map((pair) => pair.split("=").map((part) => decoded(part.replaceAll("+", " ")))),
  };
}

/** What Node's own parser hands over of these bytes, without a network. */
async function rawOf(sent: string): Promise<string> {
  const server = createServer({ requireHostHeader: false });
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  server.on("request", (incoming: IncomingMessage) => {
    const { method = "", httpVersion, rawHeaders, url = "" } = incoming;
    buffer(incoming).then((body) => {
      const raw = formatRawRequest({ method, httpVersion, rawHeaders, isTls: false, body }, addressOf(url));
      resolve(raw.toString("latin1"));
    }, reject);
  });
  server.on("clientError", () => resolve("refused"));
  const connection = new Duplex({ read: () => undefined, write: (_data, _encoding, done) => done() });
  server.emit("connection", connection);
  connection.push(Buffer.from(sent, "latin1"));
  const answer = await promise;
  connection.destroy();
  await once(connection, "close");
  return answer;
}
