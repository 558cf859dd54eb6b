/** What the caller of a hook reads: the plugin's answer piece by piece, its headers, and its failures. */
import { describe, expect, test } from "vitest";
import { RawClient } from "../harness/clients/raw-client.ts";
import { until } from "../harness/clients/until.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { callHook, errorOf, HOOK, type HookDoor, hex, openHookDoor } from "../harness/rigs/hook.ts";

const INTERNAL = { code: -500, type: "PluginDaemonInternalServerError", data: null, args: null };

const events = (door: HookDoor, op: string) => door.logged.filter((line) => line["op"] === op);

const served = (door: HookDoor) => events(door, "hook.serve");

describe("improved 4: every piece of an answer is delivered, in order", () => {
  test("if many pieces and the end come at once", async () => {
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

  test("with each piece delivered before the next one is sent", async () => {
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

describe("the plugin's status and headers", () => {
  const ask = async (pieces: readonly object[], method = "GET") => {
    const door = await openHookDoor({
      script(session) {
        for (const piece of pieces) session.item(piece);
        session.end();
      },
    });
    return await callHook({ ...door, method });
  };

  test("an answer without any message has status 200 and no body", async () => {
    expect(await ask([])).toMatchObject({ status: 200, body: "", headers: { "content-length": "0" } });
  });

  test("an end before a body keeps status and headers", async () => {
    const answer = await ask([{ status: 302, headers: { Location: "https://a.example/" } }]);
    expect(answer).toMatchObject({ status: 302, body: "", headers: { location: "https://a.example/" } });
  });

  test("cookies stay separate headers", async () => {
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
  ])("%s and %i have no body, whatever the plugin sends", async (method, status) => {
    const answer = await ask([{ status, result: hex("a body") }, { result: hex(" and more") }], method);
    expect(answer).toMatchObject({ status, body: "" });
    expect(answer.headers["content-length"]).toBeUndefined();
  });

  test("HEAD keeps the plugin's length", async () => {
    const answer = await ask([{ headers: { "Content-Length": "12345" }, result: "" }], "HEAD");
    expect(answer).toMatchObject({ status: 200, headers: { "content-length": "12345" } });
  });

  test("a correct length is kept", async () => {
    const answer = await ask([
      { headers: { "content-length": "5" } },
      { result: hex("hel") },
      { result: hex("lo") },
    ]);
    expect(answer).toMatchObject({ status: 200, body: "hello", headers: { "content-length": "5" } });
  });

  test("a body longer than its length is cut at the length, and the rest is not read as the next answer", async () => {
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

  test("a body shorter than its length ends with a reset, not as a complete answer", async () => {
    await expect(ask([{ headers: { "Content-Length": "50" }, result: hex("hello") }])).rejects.toThrow(
      "aborted",
    );
    await expect(ask([{ headers: { "Content-Length": "50" } }])).rejects.toThrow();
  });

  test("headers of the connection are dropped", async () => {
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

  test("a piece that cannot be read causes an error before the body and a reset after it", async () => {
    expect(errorOf(await ask([{ status: "ok" }]))).toMatchObject({ status: 500, ...INTERNAL });
    await expect(ask([{ result: hex("hello") }, { result: "zz" }])).rejects.toThrow("aborted");
  });
});

describe("a plugin that fails", () => {
  const boom = { error_type: "ValueError", message: "boom", args: { a: 1 } };

  test("before the first byte is answered with 500 and its own error", async () => {
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
    "after the first byte leaves its earlier pieces and a cut that the caller can detect, over %s",
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

  test("by taking too long is answered with 504 before the first byte and with a reset after it", async () => {
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
