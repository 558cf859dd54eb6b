/** The addresses of endpoints, on a Runtime that does what a test says: what a caller gets, and what it may cost. */
import { describe, expect, test } from "vitest";
import { createHealthApp } from "../../src/http/health-app.ts";
import { silentLog } from "../../src/observe/log.ts";
import { createMetrics, type Metrics } from "../../src/observe/metrics/metrics.ts";
import { anInstallation } from "../harness/builders/an-installation.ts";
import { lastOf, RawClient } from "../harness/clients/raw-client.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import {
  callHook,
  ENDPOINT,
  errorOf,
  HOOK,
  type HookDoor,
  hex,
  openHookDoor,
  sayHello,
} from "../harness/rigs/hook.ts";

const BAD = { code: -400, type: "PluginDaemonBadRequestError", data: null, args: null };
const INTERNAL = { code: -500, type: "PluginDaemonInternalServerError", data: null, args: null };

const events = (door: HookDoor, op: string) => door.logged.filter((line) => line["op"] === op);
const served = (door: HookDoor) => events(door, "hook.serve");

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

describe("a request that reaches no plugin is answered as the daemon answers it", () => {
  test("an address that is nobody's", async () => {
    const { port } = await openHookDoor();
    const answer = await callHook({ port, path: "/e/nobodys123456789/x" });
    expect(errorOf(answer)).toEqual({ status: 404, ...BAD, message: "endpoint not found" });
  });

  test("a plugin that is not installed any more", async () => {
    const { port } = await openHookDoor({}, { pluginId: "berth/gone" });
    const answer = await callHook({ port });
    expect(errorOf(answer)).toEqual({ status: 404, ...BAD, message: "plugin installation not found" });
  });

  test.each([{ state: "failed" as const }, { desired: "disabled" as const }])(
    "a plugin that does not run: %j, before the endpoint is looked at",
    async (changes) => {
      const door = await openHookDoor({}, { enabled: false });
      door.memory.installations[0] = anInstallation(changes);
      await door.invoker.refresh();
      const { message, ...found } = errorOf(await callHook(door));
      expect(found).toEqual({ status: 404, ...INTERNAL });
      expect(message).toMatch(
        /^no available node, plugin runtime not found: berth.echo is (?:failed|disabled)[.]$/,
      );
    },
  );

  test("an endpoint that is disabled", async () => {
    const { port } = await openHookDoor({}, { enabled: false });
    const found = errorOf(await callHook({ port }));
    const type = "PluginDaemonNotFoundError";
    expect(found).toEqual({
      status: 404,
      code: -404,
      type,
      message: "endpoint not found",
      args: null,
      data: null,
    });
  });

  test("a plugin that has no endpoints any more", async () => {
    const { port } = await openHookDoor({ declaration: {} });
    const found = errorOf(await callHook({ port }));
    expect(found).toMatchObject({ status: 404, type: "PluginNotFoundError", message: "plugin not found" });
  });

  test("an escape that cannot be read", async () => {
    const { port } = await openHookDoor();
    expect(errorOf(await callHook({ port, path: `/e/${HOOK}/%zz` }))).toMatchObject({
      status: 400,
      code: -400,
    });
  });

  test.each([
    ["PATCH", `/e/${HOOK}/x`],
    ["TRACE", `/e/${HOOK}/x`],
    ["GET", "/e/"],
    ["GET", "/e"],
  ])("%s %s has no route", async (method, path) => {
    const { port } = await openHookDoor();
    const answer = await callHook({ port, method, path });
    const isOurs = path.startsWith("/e/");
    expect(answer.status).toBe(404);
    if (isOurs) expect(answer.body).toBe('{"code":"not_found","message":"route not found"}');
  });

  test.each([
    ["GET", 301],
    ["HEAD", 307],
    ["POST", 307],
  ])("%s to the bare hook id is sent on to the one with a slash", async (method, status) => {
    const { port } = await openHookDoor();
    const answer = await callHook({ port, method, path: `/e/${HOOK}?a=1` });
    expect(answer).toMatchObject({ status, body: "", headers: { location: `/e/${HOOK}/?a=1` } });
  });

  test("where hooks are off there is no route, and the rest is there", async () => {
    const { port } = await openHookDoor({ settings: { hookBodyBytesMax: undefined } });
    expect(await callHook({ port })).toMatchObject({
      status: 404,
      body: expect.stringContaining("route not found"),
    });
    expect(await callHook({ port, path: "/health/check" })).toMatchObject({ status: 200 });
  });

  test("they are there where the door of platforms is closed", async () => {
    const { port } = await openHookDoor({ settings: { dify: { key: undefined, adminKey: undefined } } });
    expect(await callHook({ port })).toMatchObject({ status: 200, body: "hello" });
    expect(await callHook({ port, method: "PATCH" })).toMatchObject({ status: 404 });
  });
});

test.each(["GET", "POST", "PUT", "DELETE", "OPTIONS"])(
  "%s reaches the plugin as raw HTTP, with the settings",
  async (method) => {
    let seen: FakeSession | undefined;
    const door = await openHookDoor({
      script(session) {
        seen = session;
        sayHello(session);
      },
    });
    const body = method === "POST" || method === "PUT" ? "a=1" : undefined;
    const headers = { host: "hooks.example", "x-b": "2", "x-real-ip": "1.2.3.4", "x-request-id": "asked-1" };
    const answer = await callHook({
      ...door,
      method,
      path: `/e/${HOOK}/a%20b?z=1&y`,
      headers,
      ...(body && { body }),
    });
    expect(answer).toMatchObject({ status: 200, body: "hello", headers: { "content-type": "text/plain" } });
    expect(seen?.line).toMatchObject({ endpoint_id: ENDPOINT, event: "request", conversation_id: null });
    const { raw_http_request, ...rest } = seen?.data ?? {};
    expect(rest).toEqual({
      user_id: "",
      type: "endpoint",
      action: "invoke_endpoint",
      settings: { greeting: "hi" },
    });
    const raw = Buffer.from(String(raw_http_request), "hex").toString();
    expect(String(raw_http_request)).toMatch(/^[0-9a-f]+$/);
    expect(raw).toContain(`${method} /a%20b?y=&z=1 HTTP/1.1\r\nHost: hooks.example\r\n`);
    expect(raw).toContain(`Dify-Hook-Url: http://hooks.example/e/${HOOK}/a b\r\n`);
    expect(raw).not.toContain("1.2.3.4");
    expect(raw.endsWith(`\r\n\r\n${body ?? ""}`)).toBe(true);
  },
);

describe("improved 4: every piece of an answer is delivered, in order", () => {
  test("pieces that come at once, the end right behind them", async () => {
    const words = Array.from({ length: 300 }, (_, n) => `piece ${n};`);
    const door = await openHookDoor({
      script(session) {
        session.item({ status: 200, headers: { "Content-Type": "text/plain" } });
        for (const word of words) session.item({ result: hex(word) });
        session.end();
      },
    });
    const answer = await callHook(door);
    expect(answer).toMatchObject({ status: 200, body: words.join("") });
    // a whole answer has its length
    expect(answer.headers["content-length"]).toBe(String(words.join("").length));
  });

  test("a piece is there before the next one is", async () => {
    let session: FakeSession | undefined;
    const script = (it: FakeSession) => {
      session = it;
    };
    const door = await openHookDoor({ script });
    const client = new RawClient(door.port).say(`GET /e/${HOOK}/ HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until(() => session !== undefined);
    for (const word of ["one", "two", "three"]) {
      session?.item({ result: hex(word) });
      await client.heard((text) => text.includes(word));
    }
    session?.end();
    const heard = await client.heard((text) => text.endsWith("0\r\n\r\n"));
    expect(heard.split("\r\n\r\n").slice(1).join("\r\n\r\n")).toBe(
      "3\r\none\r\n3\r\ntwo\r\n5\r\nthree\r\n0\r\n\r\n",
    );
  });
});

describe("what a plugin says of its answer", () => {
  const ask = async (pieces: readonly object[], method = "GET") => {
    const door = await openHookDoor({
      script(session) {
        for (const piece of pieces) session.item(piece);
        session.end();
      },
    });
    return await callHook({ ...door, method });
  };

  test("nothing at all is 200 without a body", async () => {
    expect(await ask([])).toMatchObject({ status: 200, body: "", headers: { "content-length": "0" } });
  });

  test("an end before a body keeps status and headers", async () => {
    const answer = await ask([{ status: 302, headers: { Location: "https://a.example/" } }]);
    expect(answer).toMatchObject({ status: 302, body: "", headers: { location: "https://a.example/" } });
  });

  test("cookies are kept apart", async () => {
    const answer = await ask([
      { headers: { "Set-Cookie": "a=1" } },
      { headers: { "Set-Cookie": "b=2" }, result: "" },
    ]);
    expect(answer.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
  });

  test.each([
    ["HEAD", 200],
    ["GET", 204],
    ["GET", 304],
  ])("%s and %i have no body, whatever it sends", async (method, status) => {
    const answer = await ask([{ status, result: hex("a body") }, { result: hex(" and more") }], method);
    expect(answer).toMatchObject({ status, body: "" });
    expect(answer.headers["content-length"]).toBeUndefined();
  });

  test("HEAD keeps the length that it says", async () => {
    const answer = await ask([{ headers: { "Content-Length": "12345" }, result: "" }], "HEAD");
    expect(answer).toMatchObject({ status: 200, headers: { "content-length": "12345" } });
  });

  test("a length that is true is kept", async () => {
    const answer = await ask([
      { headers: { "content-length": "5" } },
      { result: hex("hel") },
      { result: hex("lo") },
    ]);
    expect(answer).toMatchObject({ status: 200, body: "hello", headers: { "content-length": "5" } });
  });

  test("of a body that is longer than it says, only so much goes out: nothing of it reads as the next answer", async () => {
    const forged = "helloHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    const door = await openHookDoor({
      script(session) {
        session.item({ headers: { "Content-Length": "5" }, result: hex(forged) });
        session.end();
      },
    });
    const client = new RawClient(door.port).say(`GET /e/${HOOK}/ HTTP/1.1\r\nHost: h\r\n\r\n`.repeat(2));
    await client.heard((text) => text.split("hello").length === 3);
    expect(client.text).not.toContain("forged");
    await until(() => served(door).length === 2);
    expect(served(door)[0]).toMatchObject({ ok: false, code: "plugin_protocol", bytes_out: 5 });
  });

  test("a body that is shorter than it says is cut, not ended", async () => {
    await expect(ask([{ headers: { "Content-Length": "50" }, result: hex("hello") }])).rejects.toThrow(
      "aborted",
    );
    await expect(ask([{ headers: { "Content-Length": "50" } }])).rejects.toThrow();
  });

  test("headers of the connection are not its to say", async () => {
    const headers = {
      "Transfer-Encoding": "gzip, chunked",
      Connection: "upgrade, x",
      Upgrade: "x",
      Trailer: "x",
    };
    const answer = await ask([{ headers, result: hex("hello") }]);
    expect(answer).toMatchObject({ status: 200, body: "hello", headers: { "content-length": "5" } });
    expect(answer.headers["upgrade"]).toBeUndefined();
    expect(answer.headers["transfer-encoding"]).toBeUndefined();
  });

  test("a piece that cannot be read is an error before the body, a cut after it", async () => {
    expect(errorOf(await ask([{ status: "ok" }]))).toMatchObject({ status: 500, ...INTERNAL });
    await expect(ask([{ result: hex("hello") }, { result: "zz" }])).rejects.toThrow("aborted");
  });
});

describe("a plugin that fails", () => {
  const boom = { error_type: "ValueError", message: "boom", args: { a: 1 } };

  test("before the first byte: 500 and its error as it said it", async () => {
    const door = await openHookDoor({
      script(session) {
        session.item({ status: 200, headers: { "X-A": "1" } });
        session.error(boom);
        session.end();
      },
    });
    const found = errorOf(await callHook(door));
    expect(found).toEqual({ status: 500, ...INTERNAL, message: found.message });
    expect(JSON.parse(found.message)).toEqual(boom);
  });

  test.each(["HTTP/1.1", "HTTP/1.0"])(
    "after it: what came before is delivered and the cut can be told, over %s",
    async (version) => {
      const door = await openHookDoor({
        script(session) {
          session.item({ result: hex("half of it") });
          session.error(boom);
          session.end();
        },
      });
      const client = new RawClient(door.port);
      let failure: Error | undefined;
      client.socket.on("error", (error) => {
        failure = error;
      });
      client.say(`GET /e/${HOOK}/ ${version}\r\nHost: h\r\n\r\n`);
      await client.closed;
      // without chunks only a reset can say so
      if (version === "HTTP/1.0") expect(failure).toMatchObject({ code: "ECONNRESET" });
      else expect(client.text).toMatch(/\r\n\r\na\r\nhalf of it\r\n$/);
      expect(client.text).not.toContain("boom");
      await until(() => served(door).length === 1);
      expect(served(door)[0]).toMatchObject({ ok: false, code: "plugin_error", status: 200 });
    },
  );

  test("that takes too long before the first byte: 504, after it: the cut", async () => {
    const limits = { timeoutMs: 200 };
    const silent = await openHookDoor({ limits, script: () => undefined });
    expect(errorOf(await callHook(silent))).toEqual({
      status: 504,
      ...INTERNAL,
      message: "killed by timeout",
    });
    const stuck = await openHookDoor({ limits, script: (session) => session.item({ result: hex("x") }) });
    await expect(callHook(stuck)).rejects.toThrow("aborted");
  });
});

describe("what a caller may cost", () => {
  const post = (more: string, body = "") => `POST /e/${HOOK}/ HTTP/1.1\r\nHost: h\r\n${more}\r\n${body}`;
  const KB = 1024;

  test("improved 7: a body over the bound is 413 before it is sent", async () => {
    const { port } = await openHookDoor({ settings: { hookBodyBytesMax: 10 * KB } });
    const client = new RawClient(port).say(post(`Content-Length: ${10 * KB + 1}\r\n`));
    await client.heard((text) => text.includes("}"));
    expect(client.text).toMatch(/^HTTP\/1.1 413 /);
    expect(client.text).toContain("PluginDaemonBadRequestError");
  });

  test("improved 7: without a length it is 413 as soon as it is known, and the plugin never sees it", async () => {
    const door = await openHookDoor({ settings: { hookBodyBytesMax: 10 * KB } });
    const client = new RawClient(door.port).say(post("Transfer-Encoding: chunked\r\n"));
    const chunk = `${(4 * KB).toString(16)}\r\n${"x".repeat(4 * KB)}\r\n`;
    client.say(chunk.repeat(3));
    await client.heard((text) => text.includes("413"));
    expect(door.runtime.sessions.size).toBe(0);
  });

  test("a body of just the bound arrives whole", async () => {
    let length = 0;
    const door = await openHookDoor({
      settings: { hookBodyBytesMax: 10 * KB },
      script(session) {
        length = String(session.data["raw_http_request"]).length;
        sayHello(session);
      },
    });
    const body = "y".repeat(10 * KB);
    expect(await callHook({ ...door, method: "POST", body })).toMatchObject({ status: 200 });
    expect(length).toBeGreaterThan(20 * KB);
  });

  test("a sender that trickles is cut", async () => {
    const door = await openHookDoor({ serve: { bodyWindowMs: 300, bodyWindowBytesMin: 1000, checkMs: 20 } });
    const client = new RawClient(door.port).say(post("Content-Length: 9000\r\n", "abc"));
    expect(await lastOf(client)).toMatchObject({ status: 408, code: "request_timeout" });
    expect(door.runtime.sessions.size).toBe(0);
  });

  test("headers have a number and a size", async () => {
    const { port } = await openHookDoor();
    const many = new RawClient(port).say(post("A: b\r\n".repeat(101)));
    const large = new RawClient(port).say(post(`A: ${"b".repeat(20_000)}\r\n`));
    expect([(await lastOf(many)).status, (await lastOf(large)).status]).toEqual([431, 431]);
  });

  test("all bodies under way have a bound together: who comes on top is told so, and the room comes back", async () => {
    const door = await openHookDoor({ settings: { hookBodyBytesMax: 10 * KB, hookBodiesBytesMax: 12 * KB } });
    const first = new RawClient(door.port).say(post(`Content-Length: ${8 * KB}\r\n`, "x".repeat(7 * KB)));
    await until(() => door.received() === 1);
    const second = await callHook({ ...door, method: "POST", body: "x".repeat(8 * KB) });
    expect(errorOf(second)).toMatchObject({ status: 429, ...INTERNAL });
    first.say("x".repeat(KB));
    await first.heard((text) => text.endsWith("hello"));
    expect(await callHook({ ...door, method: "POST", body: "x".repeat(8 * KB) })).toMatchObject({
      status: 200,
    });
  });

  test("a caller that does not read loses its own answer, at the bound, and no other's", async () => {
    const MB = 1024 * KB;
    let slow: FakeSession | undefined;
    const door = await openHookDoor({
      settings: { callerBufferBytesMax: MB },
      script(session) {
        if (slow !== undefined) return sayHello(session);
        slow = session;
      },
    });
    const reader = new RawClient(door.port).say(`GET /e/${HOOK}/ HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until(() => slow !== undefined);
    reader.socket.pause();
    const piece = hex("z".repeat(256 * KB));
    // as much as kernels may hold for both ends, and the bound
    for (let n = 0; n < 200 && served(door).length === 0; n++) {
      slow?.item({ result: piece }, piece.length);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => served(door).length === 1);
    expect(served(door)[0]).toMatchObject({ ok: false, code: "slow_caller" });
    expect(await callHook(door)).toMatchObject({ status: 200, body: "hello" });
  });

  test("many that do not read share what may wait: each loses its answer at its share", async () => {
    const sessions: FakeSession[] = [];
    const door = await openHookDoor({
      settings: { callerBufferBytesMax: 1024 * 1024 * KB, callersBufferBytesMax: 1024 * KB },
      script: (session) => void sessions.push(session),
    });
    for (let n = 0; n < 8; n++)
      new RawClient(door.port).say(`GET /e/${HOOK}/ HTTP/1.1\r\nHost: h\r\n\r\n`).socket.pause();
    await until(() => sessions.length === 8);
    // one piece of this size may wait, a second one may not; the sessions stay open, as the plugin goes on
    const piece = hex("z".repeat(64 * KB));
    for (let n = 0; n < 400 && served(door).length < 8; n++) {
      for (const session of sessions) session.item({ result: piece }, piece.length);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => served(door).length === 8);
    expect(new Set(served(door).map(({ code }) => code))).toEqual(new Set(["slow_caller"]));
  });

  test("one that leaves ends its own stream; what the plugin still says is for nobody", async () => {
    let session: FakeSession | undefined;
    const script = (it: FakeSession) => {
      session = it;
    };
    const door = await openHookDoor({ script });
    const client = new RawClient(door.port).say(`GET /e/${HOOK}/ HTTP/1.1\r\nHost: h\r\n\r\n`);
    await until(() => session !== undefined);
    session?.item({ result: hex("x") });
    await client.heard((text) => text.includes("200"));
    client.socket.destroy();
    await until(() => served(door).length === 1);
    expect(served(door)[0]).toMatchObject({ ok: false, code: "cancelled" });
    session?.item({ result: hex("y") });
    session?.end();
    await until(() => door.invoker.openSessions === 0);
  });

  test("500 at once: each is answered, none with 500", async () => {
    const held: FakeSession[] = [];
    const door = await openHookDoor({
      limits: { concurrencyMax: 1000 },
      script(session) {
        held.push(session);
        if (held.length === 500) for (const each of held) sayHello(each);
      },
    });
    const answers = await Promise.all(Array.from({ length: 500 }, () => callHook(door)));
    expect(new Set(answers.map(({ status, body }) => `${status} ${body}`))).toEqual(new Set(["200 hello"]));
  });
});

test("each request is one wide event, without the hook id, the path and what it carries", async () => {
  const door = await openHookDoor();
  await callHook({ ...door, method: "POST", path: `/e/${HOOK}/secret-path?token=secret`, body: "secret" });
  await callHook({ ...door, path: "/e/nobodys-secret/x" });
  await until(() => served(door).length === 2);
  expect(served(door)[0]).toMatchObject({
    ...{ ok: true, method: "POST", status: 200, bytes_in: 6, bytes_out: 5, endpoint_id: ENDPOINT },
    plugin: expect.stringContaining("berth/echo:"),
  });
  expect(served(door)[1]).toMatchObject({ ok: false, code: "endpoint_not_found", status: 404 });
  expect(JSON.stringify(door.logged)).not.toMatch(new RegExp(`secret|${HOOK}`));
});

describe("health and metrics", () => {
  test("/health/check is always 200 and says how busy the process is", async () => {
    let session: FakeSession | undefined;
    const script = (it: FakeSession) => {
      session = it;
    };
    const door = await openHookDoor({ script });
    const running = callHook(door);
    await until(() => session !== undefined);
    const { status, body } = await callHook({ ...door, path: "/health/check" });
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({
      ...{ status: "ok", version: "0.1.0", build_time: "", platform: "local" },
      pool_status: { free: 9998, busy: 2, total: 10_000 },
      ...{ active_requests: 2, active_dispatch_requests: 1 },
    });
    if (session !== undefined) sayHello(session);
    await running;
  });

  test.each(["/metrics", "/metrics/"])("%s tells of calls and hooks, and names nobody", async (path) => {
    const door = await openHookDoor();
    await callHook(door);
    await until(() => served(door).length === 1);
    const { status, headers, body } = await callHook({ ...door, path });
    expect([status, headers["content-type"]]).toEqual([
      200,
      expect.stringMatching(/^text\/plain; version=0.0.4/),
    ]);
    expect(body).toContain('berth_hooks_total{status="200",code="ok"} 1');
    expect(body).toContain('berth_calls_total{type="endpoint",action="invoke_endpoint",code="ok"} 1');
    expect(body).toContain("berth_http_requests_open 1");
    expect(body).not.toMatch(/berth\/echo|6f1a1c1e/);
  });

  test("a process without an API tells its metrics as well, and none where they are off", async () => {
    const settings = { jsonBytesMax: 1024, healthTimeoutMs: 100, answerTimeoutMs: 1000 };
    const processes = { apis: 1, workers: 1 };
    const ask = async (metrics: Metrics | undefined, path: string) => {
      using app = createHealthApp({ parts: {}, processes, metrics, log: silentLog, settings });
      return (await app.fetch(new Request(`http://worker${path}`))).status;
    };
    const metrics = createMetrics({ ofProcess: false });
    expect([await ask(metrics, "/metrics"), await ask(metrics, "/metrics/")]).toEqual([200, 200]);
    expect(await ask(undefined, "/metrics")).toBe(404);
  });
});
