/**
 * HTTP as attackers write it, byte by byte. Each row is refused with its reason, or has the one right answer;
 * what follows on the connection is never read as a request where two readers could disagree about that.
 */
import { describe, expect, test } from "vitest";
import type { Answer } from "../harness/clients/raw-client.ts";
import { AUTH, CALL, chunked, GET, heard, POST, SMUGGLED, served } from "../harness/clients/raw-requests.ts";
import { ADMIN_KEY, DIFY_KEY } from "../harness/samples/callers.ts";

const BAD: readonly [name: string, bytes: string, code: string][] = [
  [
    "a length before chunks",
    POST(`Content-Length: 6\r\nTransfer-Encoding: chunked\r\n`, `0\r\n\r\n${SMUGGLED}`),
    "malformed_request",
  ],
  [
    "chunks before a length",
    POST(`Transfer-Encoding: chunked\r\nContent-Length: 6\r\n`, `0\r\n\r\n${SMUGGLED}`),
    "malformed_request",
  ],
  [
    "two lengths that differ",
    POST(`Content-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n`, SMUGGLED),
    "malformed_request",
  ],
  [
    "two lengths that agree",
    POST(`Content-Length: 2\r\nContent-Length: 2\r\n`, `{}${SMUGGLED}`),
    "malformed_request",
  ],
  ["a list of lengths", POST(`Content-Length: 2, 2\r\n`, `{}${SMUGGLED}`), "malformed_request"],
  ["a length with a sign", POST(`Content-Length: +2\r\n`, `{}${SMUGGLED}`), "malformed_request"],
  ["a negative length", POST(`Content-Length: -2\r\n`, `{}${SMUGGLED}`), "malformed_request"],
  ["a length in hex", POST(`Content-Length: 0x2\r\n`, `{}${SMUGGLED}`), "malformed_request"],
  [
    "a length of more than 64 bits",
    POST(`Content-Length: 99999999999999999999\r\n`, "{}"),
    "malformed_request",
  ],
  ["an empty length", POST(`Content-Length:\r\n`, SMUGGLED), "malformed_request"],
  ["an unknown encoding", POST(`Transfer-Encoding: xchunked\r\n`, chunked(CALL)), "malformed_request"],
  [
    "an encoding after chunks",
    POST(`Transfer-Encoding: chunked, gzip\r\n`, chunked(CALL)),
    "malformed_request",
  ],
  [
    "two encodings in two lines",
    POST(`Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n`, chunked(CALL)),
    "malformed_request",
  ],
  [
    "an encoding after a tab in its name",
    POST(`Transfer-Encoding\t: chunked\r\n`, chunked(CALL)),
    "malformed_request",
  ],
  [
    "an encoding under a folded line",
    POST(`X: y\r\n Transfer-Encoding: chunked\r\n`, chunked(CALL)),
    "malformed_request",
  ],
  [
    "an encoding behind a vertical tab",
    POST(`Transfer-Encoding: \x0bchunked\r\n`, chunked(CALL)),
    "malformed_request",
  ],
  ["an encoding in quotes", POST(`Transfer-Encoding: "chunked"\r\n`, chunked(CALL)), "malformed_request"],
  [
    "a chunk size with a sign",
    POST("Transfer-Encoding: chunked\r\n", `+2\r\n{}\r\n0\r\n\r\n`),
    "malformed_request",
  ],
  [
    "a chunk size with a prefix",
    POST("Transfer-Encoding: chunked\r\n", `0x2\r\n{}\r\n0\r\n\r\n`),
    "malformed_request",
  ],
  [
    "a chunk size with a space",
    POST("Transfer-Encoding: chunked\r\n", `2 \r\n{}\r\n0\r\n\r\n`),
    "malformed_request",
  ],
  [
    "a chunk size of more than 64 bits",
    POST("Transfer-Encoding: chunked\r\n", `10000000000000002\r\n{}\r\n0\r\n\r\n`),
    "malformed_request",
  ],
  [
    "a chunk longer than its size",
    POST("Transfer-Encoding: chunked\r\n", `1\r\n{}\r\n0\r\n\r\n`),
    "malformed_request",
  ],
  [
    "a chunk that ends with a bare line feed",
    POST("Transfer-Encoding: chunked\r\n", `2\r\n{}\n0\r\n\r\n`),
    "malformed_request",
  ],
  [
    "a chunk size that ends with a bare line feed",
    POST("Transfer-Encoding: chunked\r\n", `2\n{}\r\n0\r\n\r\n`),
    "malformed_request",
  ],
  [
    "endless chunk extensions",
    POST("Transfer-Encoding: chunked\r\n", `2;${"a".repeat(20_000)}\r\n{}\r\n0\r\n\r\n`),
    "payload_too_large",
  ],
  [
    "a trailer that is not a header",
    POST("Transfer-Encoding: chunked\r\n", `2\r\n{}\r\n0\r\nnot a header\r\n\r\n`),
    "malformed_request",
  ],
  ["a bare line feed after the request line", "GET /health HTTP/1.1\nHost: d\r\n\r\n", "malformed_request"],
  ["a bare line feed after a header", "GET /health HTTP/1.1\r\nHost: d\nX: y\r\n\r\n", "malformed_request"],
  [
    "a bare carriage return in a header",
    "GET /health HTTP/1.1\r\nHost: d\r\nX: a\rb: c\r\n\r\n",
    "malformed_request",
  ],
  ["a NUL in a header", "GET /health HTTP/1.1\r\nHost: d\r\nX: a\0b\r\n\r\n", "malformed_request"],
  ["a NUL in a header's name", "GET /health HTTP/1.1\r\nHost: d\r\nX\0: a\r\n\r\n", "malformed_request"],
  ["a header without a name", "GET /health HTTP/1.1\r\nHost: d\r\n: a\r\n\r\n", "malformed_request"],
  ["a first header that is folded", "GET /health HTTP/1.1\r\n Host: d\r\n\r\n", "malformed_request"],
  ["a NUL in the path", "GET /hea\0lth HTTP/1.1\r\nHost: d\r\n\r\n", "malformed_request"],
  ["a space in the path", "GET /health /x HTTP/1.1\r\nHost: d\r\n\r\n", "malformed_request"],
  ["a tab after the method", "GET\t/health HTTP/1.1\r\nHost: d\r\n\r\n", "malformed_request"],
  ["no version", "GET /health\r\nHost: d\r\n\r\n", "malformed_request"],
  ["an unknown version", "GET /health HTTP/1.2\r\nHost: d\r\n\r\n", "malformed_request"],
  ["the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "malformed_request"],
  ["an unknown method", "GETX /health HTTP/1.1\r\nHost: d\r\n\r\n", "malformed_request"],
  ["a method in lower case", "get /health HTTP/1.1\r\nHost: d\r\n\r\n", "malformed_request"],
  ["a TLS handshake on a plain port", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "malformed_request"],
  ["a target that is a URL", `GET http://d/v1/keys HTTP/1.1\r\nHost: d\r\n${AUTH}\r\n`, "malformed_request"],
  [
    "a target that is a URL of another host",
    `GET https://169.254.169.254/ HTTP/1.1\r\nHost: d\r\n\r\n`,
    "malformed_request",
  ],
  ["a target that is a star", "OPTIONS * HTTP/1.1\r\nHost: d\r\n\r\n", "malformed_request"],
  ["a target that is a name", "GET health HTTP/1.1\r\nHost: d\r\n\r\n", "malformed_request"],
  ["a Host with a path", "GET /health HTTP/1.1\r\nHost: d/v1/keys?\r\n\r\n", "malformed_request"],
  ["a Host with a user", "GET /health HTTP/1.1\r\nHost: a@d\r\n\r\n", "malformed_request"],
  ["an empty Host", "GET /health HTTP/1.1\r\nHost:\r\n\r\n", "malformed_request"],
  ["two Hosts that agree", "GET /health HTTP/1.1\r\nHost: d\r\nhost: d\r\n\r\n", "malformed_request"],
  ["an upgrade to TLS", GET("/health", "Upgrade: TLS/1.0\r\nConnection: Upgrade\r\n"), "malformed_request"],
  [
    "an upgrade to an unknown protocol",
    GET("/health", "Connection: Upgrade\r\nUpgrade: nothing\r\n"),
    "malformed_request",
  ],
];

describe("a malformed request is refused, its connection is closed, and what follows is not read as a request", () => {
  test.each(BAD)("%s", async (_, bytes, code) => {
    const { answers, door } = await heard(bytes);
    expect(answers.map((answer) => answer.code)).toEqual([code]);
    const [{ status, body, headers }] = answers as [Answer];
    expect(status).toBeGreaterThanOrEqual(400);
    expect(status).toBeLessThan(500);
    expect(headers).toContain("connection: close");
    expect(JSON.parse(body)).toMatchObject({ error: { message: expect.any(String) } });
    expect(served(door, "/v1/keys")).toEqual([]);
  });
});

/** Targets that some reader would take for another: none may open what the path itself does not. */
const PATHS: readonly [path: string, status: number][] = [
  ["/v1/tenants/../keys", 401],
  ["/health/../v1/keys", 401],
  ["/health/%2e%2e/v1/keys", 401],
  ["/health/%2E%2E/v1/keys", 401],
  ["/health/..%2fv1/keys", 404],
  ["/health/..;/v1/keys", 404],
  ["/%2fv1%2fkeys", 404],
  ["//v1/keys", 404],
  ["///", 404],
  ["/v1//keys", 404],
  ["/v1/keys/", 404],
  ["/v1/keys%20", 404],
  ["/v1/keys%0d%0aX:y", 404],
  ["/v1/keys;a=b", 404],
  ["/v1/KEYS", 404],
  ["/v1\\keys", 400],
  ["/.env", 404],
  ["/.git/config", 404],
  ["/../../../../etc/passwd", 404],
  ["/%2e%2e/%2e%2e/etc/passwd", 404],
  ["/..%5c..%5cetc/passwd", 404],
  ["/%c0%ae%c0%ae/etc/passwd", 404],
  ["/%", 404],
  ["/%zz", 404],
  ["/%u0000", 404],
  [`/${"a/".repeat(4000)}`, 404],
  ["/v1/keys?%00", 400],
  ["/v1/keys%00.json", 400],
  ["/health#/v1/keys", 200],
  ["/health?/v1/keys", 200],
  ["/__proto__", 404],
  ["/constructor/prototype", 404],
  ["/v1/__proto__", 404],
  ["/@evil.example/", 404],
];

test.each(PATHS)("the path %s without a key is answered with %d", async (path, status) => {
  const { answers } = await heard(GET(path));
  expect(answers.map((answer) => answer.status)).toEqual([status]);
  expect(answers[0]?.body).not.toMatch(/root:|berth_[0-9a-f]{20}/);
});

/** Of a key in several places, of names that lie about who asks, of what only proxies may say. */
const LIES: readonly [name: string, more: string, status: number][] = [
  ["no key", "", 401],
  ["two keys, the first of which is right", `${AUTH}Authorization: Bearer wrong\r\n`, 400],
  ["two keys, the second of which is right", `Authorization: Bearer wrong\r\n${AUTH}`, 400],
  ["a key of another scheme", `Authorization: Basic ${ADMIN_KEY}\r\n`, 401],
  ["a key followed by another word", `Authorization: Bearer ${ADMIN_KEY} x\r\n`, 401],
  ["a key with bytes outside of ASCII", `Authorization: Bearer ${ADMIN_KEY}\xe9\r\n`, 401],
  ["a key of 10,000 characters", `Authorization: Bearer ${"k".repeat(10_000)}\r\n`, 401],
  ["a key in a cookie", `Cookie: Authorization=Bearer ${ADMIN_KEY}\r\n`, 401],
  ["the platform's key", `X-Api-Key: ${DIFY_KEY}\r\n`, 401],
  [
    "proxy headers that name a local caller",
    "X-Forwarded-For: 127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
    401,
  ],
  [
    "proxy headers for another path",
    "X-Original-URL: /health\r\nX-Rewrite-URL: /health\r\nX-Forwarded-Prefix: /health\r\n",
    401,
  ],
  ["proxy headers for another host", "X-Forwarded-Host: localhost\r\nX-Host: localhost\r\n", 401],
  [
    "proxy headers for another user",
    "X-Forwarded-User: admin\r\nRemote-User: admin\r\nX-Remote-User: admin\r\n",
    401,
  ],
  ["another method in a header", "X-HTTP-Method-Override: DELETE\r\nX-Method-Override: DELETE\r\n", 401],
];

test.each(LIES)("a request for the keys with %s is answered with %i", async (_, more, status) => {
  const { answers } = await heard(GET("/v1/keys", more));
  expect(answers.map((answer) => answer.status)).toEqual([status]);
});

test("host and scheme from proxy headers appear in no address that Berth answers with", async () => {
  const more =
    "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Port: 1\r\nX-Api-Key: ";
  for (const path of ["/openapi.json", "/v1/keys", "/plugin/x/management/list/", "/e/hook"]) {
    const { answers } = await heard(GET(path, `${AUTH}${more}${DIFY_KEY}\r\n`));
    expect(JSON.stringify(answers)).not.toContain("evil.example");
    // a redirect goes to a path of the same host, whatever that is
    for (const { headers } of answers)
      expect(/location: (.*)/.exec(headers)?.[1] ?? "/").toMatch(/^\/(?!\/)/);
  }
});

test("a request id that does not fit a log line is replaced", async () => {
  for (const id of ['a"b', "a b", "x".repeat(129), "\xe9", "$(x)", "../x"]) {
    const { answers } = await heard(GET("/health", `X-Request-Id: ${id}\r\n`));
    expect(answers[0]?.status).toBe(200);
    expect(answers[0]?.headers).not.toContain(id.toLowerCase());
  }
});
