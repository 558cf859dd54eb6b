/** What clients may cost the door, over raw sockets: each bound has a test that crosses it. */
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { answersIn, lastOf, RawClient } from "../harness/clients/raw-client.ts";
import { type Door, type DoorOptions, openDoor } from "../harness/rigs/door.ts";
import { ADMIN_KEY, TENANT } from "../harness/samples/callers.ts";

const AUTH = `Authorization: Bearer ${ADMIN_KEY}\r\n`;
const LIST = `/v1/tenants/${TENANT}/installations`;
const INVOKE = `/v1/tenants/${TENANT}/plugins/berth/echo/invoke_tool`;
const CALL = JSON.stringify({ user_id: "u", provider: "echo", tool_name: "say", tool_parameters: { n: 1 } });

async function aDoor(options: DoorOptions = {}): Promise<Door & { port: number }> {
  const door = await openDoor(options);
  onTestFinished(() => door[Symbol.asyncDispose]());
  const { url } = await door.listen();
  return Object.assign(door, { port: Number(new URL(url).port) });
}

const get = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: door\r\n${AUTH}${more}\r\n`;
const post = (path: string, body: string, more = "") =>
  `POST ${path} HTTP/1.1\r\nHost: door\r\n${AUTH}Content-Type: application/json\r\nContent-Length: ${body.length}\r\n${more}\r\n${body}`;

const postHead = (path: string, length: number) =>
  `POST ${path} HTTP/1.1\r\nHost: door\r\n${AUTH}Content-Type: application/json\r\nContent-Length: ${length}\r\n\r\n`;

const refusals = (door: Door) => door.logged.filter(({ op }) => op === "http.refused");

describe("a malformed or oversized request is refused in the common error format", async () => {
  const cases: readonly [name: string, bytes: string, status: number, code: string][] = [
    ["no HTTP at all", "hello\r\n\r\n", 400, "malformed_request"],
    [
      "a length that is not a number",
      `POST ${INVOKE} HTTP/1.1\r\nHost: d\r\nContent-Length: 1x\r\n\r\n`,
      400,
      "malformed_request",
    ],
    [
      "two lengths",
      `POST ${INVOKE} HTTP/1.1\r\nHost: d\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n`,
      400,
      "malformed_request",
    ],
    [
      "a length and chunks",
      `POST ${INVOKE} HTTP/1.1\r\nHost: d\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
      400,
      "malformed_request",
    ],
    [
      "chunked before another encoding",
      `POST ${INVOKE} HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked, identity\r\n\r\n`,
      400,
      "malformed_request",
    ],
    [
      "a chunk size that is not a number",
      `POST ${INVOKE} HTTP/1.1\r\nHost: d\r\n${AUTH}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n`,
      400,
      "malformed_request",
    ],
    [
      "a bare line feed in a header",
      "GET /health HTTP/1.1\r\nHost: d\r\nA: b\nTransfer-Encoding: chunked\r\n\r\n",
      400,
      "malformed_request",
    ],
    ["a folded header", "GET /health HTTP/1.1\r\nHost: d\r\nA: b\r\n c\r\n\r\n", 400, "malformed_request"],
    ["a space before the colon", "GET /health HTTP/1.1\r\nHost : d\r\n\r\n", 400, "malformed_request"],
    ["no Host", "GET /health HTTP/1.1\r\n\r\n", 400, "malformed_request"],
    ["two Hosts", "GET /health HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "malformed_request"],
    ["an invalid Host", "GET /health HTTP/1.1\r\nHost: a b/c\r\n\r\n", 400, "malformed_request"],
    ["HTTP/1.0 without a Host", "GET /health HTTP/1.0\r\n\r\n", 400, "malformed_request"],
    ["another version", "GET /health HTTP/2.0\r\nHost: d\r\n\r\n", 400, "malformed_request"],
    ["an absolute URI", "GET http://elsewhere/health HTTP/1.1\r\nHost: d\r\n\r\n", 400, "malformed_request"],
    ["CONNECT", "CONNECT elsewhere:443 HTTP/1.1\r\nHost: elsewhere:443\r\n\r\n", 400, "malformed_request"],
    [
      "an upgrade to a web socket",
      "GET /health HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
      400,
      "malformed_request",
    ],
    [
      "a request line over the bound",
      `GET /${"a".repeat(17_000)} HTTP/1.1\r\nHost: d\r\n\r\n`,
      431,
      "headers_too_large",
    ],
    [
      "headers over the bound",
      `GET /health HTTP/1.1\r\nHost: d\r\nA: ${"a".repeat(17_000)}\r\n\r\n`,
      431,
      "headers_too_large",
    ],
    [
      "101 headers",
      `GET /health HTTP/1.1\r\nHost: d\r\n${"A: b\r\n".repeat(100)}\r\n`,
      431,
      "headers_too_large",
    ],
    [
      "a body over the bound of a control route",
      `POST ${LIST} HTTP/1.1\r\nHost: d\r\n${AUTH}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n20000\r\n${"a".repeat(0x2_00_00)}`,
      413,
      "payload_too_large",
    ],
    [
      "a body over the bound of a call",
      `POST ${INVOKE} HTTP/1.1\r\nHost: d\r\n${AUTH}Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n${"a".repeat(0x20_00_00)}`,
      413,
      "payload_too_large",
    ],
  ];

  test.each(cases)("%s", async (_name, bytes, status, code) => {
    const door = await aDoor();
    const answer = await lastOf(new RawClient(door.port).say(bytes));
    expect(answer).toMatchObject({ status, code });
    expect(JSON.parse(answer.body)).toMatchObject({ error: { code }, request_id: expect.any(String) });
  });
});

test("HTTP/1.0 with a Host is served and closed, and an upgrade to HTTP/2 is ignored", async () => {
  const door = await aDoor();
  const old = await lastOf(new RawClient(door.port).say("GET /health HTTP/1.0\r\nHost: d\r\n\r\n"));
  expect(old.status).toBe(200);
  const upgrade =
    "Connection: Upgrade, HTTP2-Settings, close\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQBAAAAAAIAAAAA\r\n";
  expect((await lastOf(new RawClient(door.port).say(get("/health", upgrade)))).status).toBe(200);
});

test("a thousand refused connections are all counted in a few log lines", async () => {
  const door = await aDoor();
  for (let at = 0; at < 10; at++) {
    const clients = Array.from({ length: 100 }, () => new RawClient(door.port).say("rubbish\r\n\r\n"));
    await Promise.all(clients.map((client) => client.closed));
  }
  await door[Symbol.asyncDispose]();
  const counted = refusals(door).reduce(
    (sum, { counts }) => sum + (counts as { malformed_request: number }).malformed_request,
    0,
  );
  expect(counted).toBe(1000);
  expect(refusals(door).length).toBeLessThanOrEqual(10);
});

describe("slow clients", () => {
  test("headers that do not arrive in time are answered with 408", async () => {
    const door = await aDoor({ serve: { headersTimeoutMs: 200 } });
    const silent = new RawClient(door.port);
    const half = new RawClient(door.port).say("GET /health HTTP/1.1\r\nHost:");
    for (const client of [silent, half]) {
      expect(await lastOf(client)).toMatchObject({ status: 408, code: "request_timeout" });
    }
  });

  const slowBody = { bodyWindowMs: 200, bodyWindowBytesMin: 100 };
  const head = (path: string, type: string) =>
    `POST ${path} HTTP/1.1\r\nHost: d\r\n${AUTH}Content-Type: ${type}\r\nContent-Length: 60000\r\n\r\n`;

  test.each([
    ["call", INVOKE, "application/json"],
    ["control route", LIST, "application/json"],
    ["upload", "/v1/packages", "application/octet-stream"],
  ])("a %s whose body does not begin or trickles is answered with 408", async (_name, path, type) => {
    const door = await aDoor({ serve: slowBody });
    const silent = new RawClient(door.port).say(head(path, type));
    const trickling = new RawClient(door.port).say(head(path, type));
    const drop = setInterval(() => trickling.say("a"), 20);
    onTestFinished(() => clearInterval(drop));
    for (const client of [silent, trickling]) {
      expect(await lastOf(client)).toMatchObject({ status: 408, code: "request_timeout" });
    }
  });

  test("a steady body that takes too long in total is answered with 408", async () => {
    const door = await aDoor({ serve: { requestTimeoutMs: 400 } });
    const client = new RawClient(door.port).say(head(INVOKE, "application/json"));
    const steady = setInterval(() => client.say("a".repeat(100)), 20);
    onTestFinished(() => clearInterval(steady));
    expect(await lastOf(client)).toMatchObject({ status: 408, code: "request_timeout" });
  });

  test("five hundred slow clients do not delay other callers", async () => {
    const door = await aDoor({ serve: { headersTimeoutMs: 3000, ...slowBody, bodyWindowMs: 3000 } });
    const slow = Array.from({ length: 500 }, (_, at) =>
      new RawClient(door.port).say(at % 2 === 0 ? "GET /hea" : head(INVOKE, "application/json")),
    );
    const trickle = setInterval(() => {
      for (const client of slow) if (client.socket.writable) client.say("x");
    }, 100);
    onTestFinished(() => clearInterval(trickle));
    const took: number[] = [];
    for (let at = 0; at < 100; at++) {
      const startedAt = performance.now();
      const answer = await fetch(`http://127.0.0.1:${door.port}${INVOKE}`, {
        method: "POST",
        headers: { authorization: `Bearer ${ADMIN_KEY}`, "content-type": "application/json" },
        body: CALL,
      });
      expect(await answer.text()).toContain("event: end");
      took.push(performance.now() - startedAt);
    }
    expect(took.toSorted((a, b) => a - b)[50]).toBeLessThan(1_000);
    await Promise.all(slow.map((client) => client.closed));
    expect(slow.map(({ text }) => answersIn(text)[0]?.status)).toEqual(slow.map(() => 408));
  });
});

describe("connections", () => {
  test("an idle connection is closed after the idle timeout", async () => {
    const door = await aDoor({ serve: { keepAliveTimeoutMs: 100 } });
    const [answer, ...more] = await new RawClient(door.port).say(get("/health")).end();
    expect(answer).toMatchObject({ status: 200 });
    expect(more).toEqual([]);
  });

  test("over the bound the longest idle connection is closed, or the new one gets 503 if none is idle", async () => {
    const held: { end: () => void }[] = [];
    const door = await aDoor({ serve: { connectionsMax: 3 }, script: (session) => void held.push(session) });
    const first = new RawClient(door.port).say(get("/health"));
    await first.heard((text) => text.includes("ok"));
    const calls = [];
    for (let at = 0; at < 3; at++) {
      const call = new RawClient(door.port).say(post(INVOKE, CALL, "Accept: application/json\r\n"));
      await expect.poll(() => held.length).toBe(at + 1);
      calls.push(call);
    }
    await first.closed;
    expect(await lastOf(new RawClient(door.port).say(get("/health")))).toMatchObject({
      status: 503,
      code: "too_many_connections",
    });
    for (const session of held) session.end();
    for (const call of calls) await call.heard((text) => text.includes("items"));
  });

  test("a client that holds every connection open without a request does not block other clients", async () => {
    const door = await aDoor({ serve: { connectionsMax: 5 } });
    const held = Array.from({ length: 20 }, (_, at) => {
      const client = new RawClient(door.port);
      return at % 2 === 0 ? client : client.say("GET /hea");
    });
    for (let at = 0; at < 5; at++) {
      const answer = await lastOf(new RawClient(door.port).say(get("/health", "Connection: close\r\n")));
      expect(answer.status).toBe(200);
    }
    expect(held.filter(({ text }) => text !== "")).toEqual([]);
  });

  test("a connection serves its maximum of requests, and the last answer closes it", async () => {
    const door = await aDoor({ serve: { requestsPerConnectionMax: 3 } });
    const client = new RawClient(door.port);
    for (let at = 1; at <= 3; at++) {
      client.say(get("/health"));
      await client.heard((text) => answersIn(text).length === at);
    }
    const answers = await client.end();
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200]);
    expect(answers.map(({ headers }) => headers.includes("connection: close"))).toEqual([false, false, true]);
  });

  test("pipelined requests are answered in order, and too many at once end the connection with 429", async () => {
    const held: { end: () => void }[] = [];
    const door = await aDoor({ serve: { pipelinedMax: 3 }, script: (session) => void held.push(session) });
    const inOrder = await new RawClient(door.port)
      .say(get("/health") + get("/nowhere") + get("/health", "Connection: close\r\n"))
      .end();
    expect(inOrder.map(({ status }) => status)).toEqual([200, 404, 200]);
    const client = new RawClient(door.port).say(
      post(INVOKE, CALL, "Accept: application/json\r\n").repeat(50),
    );
    await expect.poll(() => held.length).toBe(3);
    for (const session of held) session.end();
    const answers = await client.end();
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429]);
    expect(held).toHaveLength(3);
  });

  test("a client with one connection runs no more requests than its bound, however many it sends", async () => {
    let begun = 0;
    const database = () => {
      begun++;
      return new Promise<void>(() => undefined);
    };
    const door = await aDoor({ serve: { pipelinedMax: 3 }, parts: { parts: { database } } });
    const ready = "GET /health/ready HTTP/1.1\r\nHost: d\r\n\r\n";
    const answers = await new RawClient(door.port).say(ready.repeat(500)).end();
    expect(answers.map(({ status }) => status)).toEqual([503, 503, 503, 429]);
    expect(begun).toBe(3);
  });
});

describe("a caller that still sends when its request is refused", () => {
  /** A door accepts 1 MiB, and sockets buffer less than the second half. */
  const half = "x".repeat(8 * 1024 * 1024);

  test.each([
    ["with too large a body", INVOKE, 413],
    ["without the daemon's key", `/plugin/${TENANT}/dispatch/tool/invoke`, 401],
    ["to no route", "/nowhere", 404],
  ])("%s is not reset before it has read its answer", async (_name, path, status) => {
    const door = await aDoor({ serve: { lingerMs: 20_000 } });
    const client = new RawClient(door.port, { allowHalfOpen: true });
    client.say(postHead(path, 2 * half.length) + half);
    await once(client.socket, "end");
    client.say(half).socket.end();
    await client.closed;
    expect(client.error).toBeUndefined();
    expect(answersIn(client.text).map((answer) => answer.status)).toEqual([status]);
  });

  test("and never ends is disconnected after a time", async () => {
    const door = await aDoor({ serve: { lingerMs: 100 } });
    const client = new RawClient(door.port, { allowHalfOpen: true });
    client.say(postHead(INVOKE, 2 * half.length) + half);
    await expect.poll(() => client.say("x").socket.destroyed).toBe(true);
    expect(answersIn(client.text).map(({ status }) => status)).toEqual([413]);
  });
});

describe("callers that do not read", () => {
  test("the answer of a call that is not read is cut, and no more than its bound is buffered", async () => {
    const text = "x".repeat(8 * 1024 * 1024);
    const door = await aDoor({
      script: (session) => {
        session.item({ type: "text", message: { text } }, text.length);
        session.end();
      },
      settings: { flushTimeoutMs: 200 },
    });
    const client = new RawClient(door.port);
    client.socket.pause();
    client.say(post(INVOKE, CALL));
    await expect.poll(() => refusals(door).length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(refusals(door)[0]).toMatchObject({ counts: { slow_reader: 1 } });
    client.socket.resume();
    await client.closed;
    expect(client.text.length).toBeLessThan(text.length);
  });

  test("a control stream that is not read stops its source and is cut", async () => {
    let lines = 0;
    const door = await aDoor({
      serve: { stallTimeoutMs: 300 },
      async *logs(signal) {
        while (!signal.aborted) {
          yield "x".repeat(100_000);
          lines++;
        }
      },
    });
    const client = new RawClient(door.port);
    client.socket.pause();
    const [installation] = door.memory.installations;
    client.say(get(`${LIST}/${installation?.id}/logs?follow=true`));
    await expect.poll(() => refusals(door).length, { timeout: 10_000 }).toBeGreaterThan(0);
    expect(refusals(door)[0]).toMatchObject({ counts: { slow_reader: 1 } });
    expect(lines).toBeLessThan(200);
  });
});

describe("while the database hangs", () => {
  /** The database is silent until the test is over. */
  function hang(door: Door): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    door.memory.hang = promise;
    onTestFinished(() => resolve());
  }

  test("a control route answers 504 in time", async () => {
    const door = await aDoor({ settings: { answerTimeoutMs: 100 } });
    hang(door);
    const answer = await lastOf(new RawClient(door.port).say(get(LIST, "Connection: close\r\n")));
    expect(answer).toMatchObject({ status: 504, code: "answer_timeout" });
  });

  test("a call of an unknown installation is answered from the last known rows", async () => {
    const door = await aDoor({ settings: { refreshTimeoutMs: 100 } });
    hang(door);
    const path = INVOKE.replace("berth/echo", "berth/other");
    const answer = await lastOf(new RawClient(door.port).say(post(path, CALL, "Connection: close\r\n")));
    expect(answer).toMatchObject({ status: 404, code: "installation_not_found" });
  });
});
