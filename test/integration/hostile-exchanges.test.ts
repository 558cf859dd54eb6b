/** Methods, bodies, failures and resets as attackers use them: the connection stays in step, and nothing else ends. */
import { describe, expect, test } from "vitest";
import { RawClient } from "../harness/clients/raw-client.ts";
import {
  AUTH,
  CALL,
  END,
  GET,
  heard,
  LIST,
  openRawDoor,
  POST,
  SMUGGLED,
  served,
} from "../harness/clients/raw-requests.ts";
import { ADMIN_KEY, TENANT } from "../harness/samples/callers.ts";

describe("methods", () => {
  test.each([
    ["DELETE", "/health", 405],
    ["PUT", "/v1/keys", 405],
    ["TRACE", "/v1/keys", 405],
    ["OPTIONS", "/v1/keys", 405],
    ["PROPFIND", "/v1/keys", 405],
    ["SEARCH", "/health", 405],
    ["TRACE", "/nowhere", 404],
    ["DELETE", `/plugin/${TENANT}/management/list`, 404],
  ])("%s %s is answered with %i", async (method, path, status) => {
    const { answers } = await heard(`${method} ${path} HTTP/1.1\r\nHost: d\r\n${AUTH}${END}\r\n`);
    expect(answers.map((answer) => answer.status)).toEqual([status]);
    expect(answers[0]?.body).not.toContain("Bearer");
  });

  test("HEAD is answered without a body, and the connection stays in step", async () => {
    const { answers } = await heard(`HEAD /health HTTP/1.1\r\nHost: d\r\n\r\n${GET("/health")}`);
    expect(answers.map(({ status, body }) => [status, body === ""])).toEqual([
      [200, true],
      [200, false],
    ]);
  });
});

describe("request bodies", () => {
  test("a client that expects 100 gets it, and any other expectation gets 417", async () => {
    const { answers } = await heard(
      POST(`Expect: 100-continue\r\nContent-Length: ${CALL.length}\r\n${END}`, CALL),
    );
    expect(answers.map(({ status }) => status)).toEqual([100, 200]);
    const other = await heard(POST(`Expect: a-miracle\r\nContent-Length: ${CALL.length}\r\n${END}`, CALL));
    expect(other.answers.map(({ status }) => status)).toEqual([417]);
  });

  test("a body in chunks of one byte is read like one with a length", async () => {
    const pieces = [...CALL].map((letter) => `1\r\n${letter}\r\n`).join("");
    const { answers } = await heard(POST(`Transfer-Encoding: chunked\r\n${END}`, `${pieces}0\r\n\r\n`));
    expect(answers.map(({ status }) => status)).toEqual([200]);
  });

  test("the body of a GET is not read as the next request", async () => {
    const get = `GET /health HTTP/1.1\r\nHost: d\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;
    const { answers, door } = await heard(`${get}${GET("/health")}`);
    expect(answers.map(({ status }) => status)).toEqual([200, 200]);
    expect(served(door, "/v1/keys")).toEqual([]);
  });

  test("the body of a refused request is not read as the next request", async () => {
    const refused = `POST /v1/nowhere HTTP/1.1\r\nHost: d\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`;
    const { answers, door } = await heard(`${refused}${GET("/health")}`);
    expect(answers.map(({ status }) => status)).toEqual([404, 200]);
    expect(served(door, "/v1/keys")).toEqual([]);
  });

  test("a compressed body is refused as invalid JSON", async () => {
    const { answers } = await heard(
      POST(`Content-Encoding: gzip\r\nContent-Length: 4\r\n${END}`, "\x1f\x8b\x08\x00"),
    );
    expect(answers.map(({ status, code }) => [status, code])).toEqual([[400, "invalid_json"]]);
  });

  test("a header in a trailer does not count as a header of the request", async () => {
    const body = `${CALL.length.toString(16)}\r\n${CALL}\r\n0\r\nAuthorization: Bearer ${ADMIN_KEY}\r\n\r\n`;
    const bytes = POST(`Transfer-Encoding: chunked\r\n${END}`, body).replace(AUTH, "");
    const { answers } = await heard(bytes);
    expect(answers.map(({ status }) => status)).toEqual([401]);
  });
});

test("an exception in a handler is answered with 500 and the request's id, is logged with it, and ends nothing else", async () => {
  const broken = { list: () => Promise.reject(new TypeError("a mistake of ours")) };
  const door = await openRawDoor({
    parts: {
      changes: broken as never,
      disk: {
        report: () => {
          throw new TypeError("a mistake of ours");
        },
      } as never,
    },
  });
  const ask = GET("/v1/disk", `${AUTH}X-Request-Id: the-one\r\n`);
  const [answer] = await new RawClient(door.port).say(ask).end();
  expect(answer).toMatchObject({ status: 500, code: "internal" });
  expect(JSON.parse(answer?.body ?? "")).toMatchObject({ request_id: "the-one" });
  expect(answer?.body).not.toContain("a mistake of ours");
  const logged = door.logged.find(({ op, request_id }) => op === "http.failure" && request_id === "the-one");
  expect(logged).toMatchObject({ code: "internal", path: "/v1/disk" });
  const [after] = await new RawClient(door.port).say(GET(LIST, AUTH)).end();
  expect(after?.status).toBe(200);
});

test("a client that resets its connection in any state ends only that connection", async () => {
  const door = await openRawDoor();
  const starts = [
    "CONNECT d:443 HTTP/1.1\r\nHost: d\r\n\r\n",
    "rubbish\r\n\r\n",
    "GET /hea",
    GET("/health"),
    GET("/health", "Upgrade: nothing\r\n"),
    POST(`Content-Length: ${CALL.length}\r\n`, CALL),
    POST("Content-Length: 60000\r\n", CALL),
    POST("Expect: 100-continue\r\nContent-Length: 60000\r\n", ""),
  ];
  for (const bytes of [...starts, ...starts]) {
    const clients = Array.from({ length: 20 }, () => new RawClient(door.port).say(bytes));
    await Promise.all(clients.map((client) => new Promise((sent) => client.socket.write("", sent))));
    for (const { socket } of clients) socket.resetAndDestroy();
    await Promise.all(clients.map(({ closed }) => closed));
  }
  const [answer] = await new RawClient(door.port).say(GET("/health")).end();
  expect(answer?.status).toBe(200);
});

test.each<[string, () => Response | Promise<Response>]>([
  [
    "throws",
    () => {
      throw new TypeError("a mistake of ours");
    },
  ],
  ["rejects", () => Promise.reject(new TypeError("a mistake of ours"))],
])("an exception that no route catches is answered with 500 and logged if the app %s", async (_, fetch) => {
  const door = await openRawDoor();
  Object.assign(door.app, { fetch });
  const [answer] = await new RawClient(door.port).say(GET("/health")).end();
  expect(answer).toMatchObject({ status: 500, code: "internal" });
  const { request_id } = JSON.parse(answer?.body ?? "") as { request_id: string };
  expect(door.logged).toContainEqual(
    expect.objectContaining({ op: "http.failure", code: "internal", request_id }),
  );
});
