/** What the platform reads of a call: a stream of envelopes, or one document for a polled call. */
import { once } from "node:events";
import { connect } from "node:net";
import { describe, expect, onTestFinished, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { dispatch, type Envelope, eventsOf, refusalOf, toldBy } from "../harness/clients/dify.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import type { Door } from "../harness/rigs/door.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { DIFY_KEY, TENANT } from "../harness/samples/callers.ts";

const TOOL = { user_id: "u", data: { provider: "echo", tool: "say", tool_parameters: { n: 1 } } };

const LLM = { provider: "echo", model: "m", model_type: "llm", prompt_messages: [] };

const MESSAGE = { type: "text", message: { text: "x" }, meta: null };

/** Keeps the one session for the test. */
function held() {
  const { promise, resolve } = Promise.withResolvers<FakeSession>();
  return { session: promise, script: resolve };
}

describe("streams", () => {
  test("must be identical 3: each line holds one envelope and nothing else", async () => {
    const door = await openTestDoor({
      script: (session) => {
        session.item(MESSAGE);
        session.item({ ...MESSAGE, message: { text: "y" } });
        session.end();
      },
    });
    const answer = await dispatch(door, "tool/invoke", TOOL);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([200, "text/event-stream"]);
    const event = (text: string) =>
      `data: {"code":0,"message":"success","data":{"type":"text","message":{"text":"${text}"},"meta":null}}\n\n`;
    expect(await answer.text()).toBe(event("x") + event("y"));
  });

  test("must be identical 3: no header is sent before the first event, and each event is sent as it comes", async () => {
    const { session, script } = held();
    const door = await openTestDoor({
      settings: { pingMs: 5 },
      script: (plugin) => (plugin.data["user_id"] === "waits" ? script(plugin) : plugin.end()),
    });
    const raw = await openRaw(door, { ...TOOL, user_id: "waits" });
    const plugin = await session;
    // what had been sent to the one would be there by the time that others are answered
    for (let n = 0; n < 5; n++) await (await dispatch(door, "tool/invoke", TOOL)).text();
    expect(raw.text()).toBe("");
    plugin.item(MESSAGE);
    await raw.until('"text":"x"');
    expect(raw.text()).toMatch(/^HTTP\/1.1 200 OK\r\ncontent-type: text\/event-stream\r\n/);
    for (let n = 0; n < 5; n++) await (await dispatch(door, "tool/invoke", TOOL)).text();
    expect(raw.text()).not.toContain("ping");
    plugin.end();
    await raw.until("\r\n0\r\n\r\n");
  });

  test("must be identical 3: a plugin that ends without a chunk is answered with an empty 200 and its length", async () => {
    const answer = await dispatch(
      await openTestDoor({ script: (session) => session.end() }),
      "tool/invoke",
      TOOL,
    );
    expect([answer.status, answer.headers.get("content-length"), await answer.text()]).toEqual([
      200,
      "0",
      "",
    ]);
  });

  test("must be identical 4: Unicode line separators are escaped, in chunks and in errors", async () => {
    const text = "a\u0085b\u2028c\u2029d\n\r";
    const door = await openTestDoor({
      script: (session) => {
        session.item({ ...MESSAGE, message: { text } });
        session.error({ error_type: "E", message: text, args: { text } });
      },
    });
    const body = await (await dispatch(door, "tool/invoke", TOOL)).text();
    expect(body.match(/[\u0085\u2028\u2029]/)).toBeNull();
    const [chunk, error] = eventsOf(body);
    expect(chunk?.data).toMatchObject({ message: { text } });
    expect(JSON.parse(error === undefined ? "" : toldBy(error).message)).toMatchObject({ message: text });
  });

  test("must be identical 1: a plugin's own error is one event after its chunks, with its class and args unchanged", async () => {
    const error = { error_type: "InvokeRateLimitError", message: "slow down", args: { after: 5 } };
    const door = await openTestDoor({
      script: (session) => {
        session.item(MESSAGE);
        session.error(error);
        session.item(MESSAGE);
        session.end();
      },
    });
    const events = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
    expect(events.map(({ code }) => code)).toEqual([0, -500]);
    const { type, message } = toldBy(events[1] as Envelope);
    expect([type, message]).toEqual([
      "PluginInvokeError",
      '{"args":{"after":5},"error_type":"InvokeRateLimitError","message":"slow down"}',
    ]);
  });

  test("a call beyond its deadline ends with the error killed by timeout", async () => {
    const door = await openTestDoor({ limits: { timeoutMs: 20 }, script: () => undefined });
    const answer = await dispatch(door, "tool/invoke", TOOL);
    expect(answer.status).toBe(200);
    expect(eventsOf(await answer.text()).map(toldBy)).toEqual([
      { code: -500, type: "PluginDaemonInternalServerError", message: "killed by timeout" },
    ]);
  });

  test.each([
    ["plugin_crashed", "ConnectionClosedError"],
    ["link_lost", "ConnectionClosedError"],
    ["plugin_protocol", "plugin_protocol"],
    ["frame_too_large", "frame_too_large"],
  ] as const)(
    "improved 5: a plugin that is lost during a call ends the call at once: %s",
    async (code, errorType) => {
      const lost = new Fault(code, "It went away.", { details: { exit: 9 } });
      const door = await openTestDoor({
        script: (session) => {
          session.item(MESSAGE);
          session.lost(lost);
        },
      });
      const [, last] = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
      const { type, message } = toldBy(last as Envelope);
      expect(type).toBe("PluginInvokeError");
      expect(JSON.parse(message)).toEqual({
        args: { exit: 9 },
        error_type: errorType,
        message: "It went away.",
      });
    },
  );

  test("improved 6: an incomplete or oversized error still reaches the caller", async () => {
    const many = Object.fromEntries(Array.from({ length: 30 }, (_, n) => [`a${n}`, n]));
    for (const [error, inner] of [
      [null, { args: {}, error_type: "Exception" }],
      [
        { message: "m", args: many },
        { args: many, message: "m" },
      ],
      ["text", { error_type: "Exception" }],
    ] as const) {
      const door = await openTestDoor({ script: (session) => session.error(error) });
      const [told] = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text()).map(toldBy);
      expect(JSON.parse(told?.message ?? "")).toMatchObject(inner);
    }
  });

  test("improved 5: a caller that reads too slowly gets a JSON error after the events that it was sent", async () => {
    const door = await openTestDoor({
      settings: { callerBufferBytesMax: 1000 },
      script: (session) => {
        for (let n = 0; n < 3; n++) session.item({ ...MESSAGE, message: { text: "x".repeat(1000) } }, 1000);
        session.end();
      },
    });
    const events = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
    expect(events.map(({ code }) => code)).toEqual([0, -500]);
    const { type, message } = toldBy(events[1] as Envelope);
    expect(type).toBe("PluginInvokeError");
    expect(JSON.parse(message)).toMatchObject({ error_type: "slow_caller", args: { bufferBytesMax: 1000 } });
  });

  test("a caller that leaves ends its own stream only", async () => {
    const sessions: FakeSession[] = [];
    const both = Promise.withResolvers<void>();
    const door = await openTestDoor({
      script: (session) => {
        sessions.push(session);
        if (sessions.length === 2) both.resolve();
      },
    });
    const leaving = new AbortController();
    const gone = dispatch(door, "tool/invoke", TOOL, { signal: leaving.signal });
    gone.catch(() => undefined);
    const stays = dispatch(door, "tool/invoke", { ...TOOL, user_id: "stays" });
    await both.promise;
    leaving.abort();
    await expect(gone).rejects.toThrow();
    const own = sessions.find(({ data }) => data["user_id"] === "stays");
    own?.item(MESSAGE);
    own?.end();
    expect(eventsOf(await (await stays).text()).length).toBe(1);
  });

  test("an item that no client can read ends the stream with an error, and nothing follows it", async () => {
    const door = await openTestDoor({
      script: (session) => {
        session.item({ ...MESSAGE, message: "no object" });
        session.item(MESSAGE);
        session.end();
      },
    });
    const events = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
    const told = events.map(toldBy);
    expect(told.map(({ type }) => type)).toEqual(["PluginInvokeError"]);
    expect(JSON.parse(told[0]?.message ?? "")).toMatchObject({ error_type: "unmarshal_error" });
  });

  test("messages of unknown types reach the caller unchanged, and the log has one line per plugin", async () => {
    const newer = [
      { type: "hologram", message: ["depth", 3], more: true },
      { type: "smell", message: null },
    ];
    const door = await openTestDoor({
      script: (session) => {
        for (const message of [...newer, MESSAGE]) session.item(message);
        session.end();
      },
    });
    for (let call = 0; call < 2; call += 1) {
      const events = eventsOf(await (await dispatch(door, "tool/invoke", TOOL)).text());
      expect(events.map(({ code, data }) => ({ code, data }))).toEqual(
        [...newer, { ...MESSAGE, meta: null }].map((data) => ({ code: 0, data })),
      );
    }
    expect(door.logged.filter(({ op }) => op === "message.unknown_type")).toEqual([
      {
        op: "message.unknown_type",
        plugin: "berth/echo",
        tenant_id: TENANT,
        request_id: expect.any(String),
        message_type: "hologram",
      },
    ]);
  });
});

describe("polled calls", () => {
  const START = { data: LLM };
  const RUNNING = { status: "running", plugin_state: { id: 1 } };

  test("are answered with one document: the last of several results", async () => {
    const door = await openTestDoor({
      script: (session) => {
        session.item(RUNNING);
        session.item({ ...RUNNING, plugin_state: { id: 2 } });
        session.end();
      },
    });
    const answer = await dispatch(door, "model/polling/start", START);
    expect([answer.status, answer.headers.get("content-type")]).toEqual([
      200,
      "application/json; charset=utf-8",
    ]);
    expect(await answer.json()).toMatchObject({
      code: 0,
      message: "success",
      data: { status: "running", plugin_state: { id: 2 } },
    });
  });

  test("answer errors with 200, so that their types reach the caller", async () => {
    const failing = await openTestDoor({
      script: (session) => session.error({ error_type: "E", message: "m" }),
    });
    expect(await refusalOf(await dispatch(failing, "model/polling/start", START))).toEqual({
      status: 200,
      code: -500,
      type: "PluginInvokeError",
      message: '{"args":{},"error_type":"E","message":"m"}',
    });
    const silent = await openTestDoor({ script: (session) => session.end() });
    const told = await refusalOf(await dispatch(silent, "model/polling/start", START));
    expect(JSON.parse(told.message)).toMatchObject({ message: "no polling result received from plugin" });
  });

  test("pass the same checks as other calls", async () => {
    const door = await openTestDoor();
    const absent = await dispatch(door, "model/polling/check", {}, { plugin: "berth/nothing" });
    expect(absent.status).toBe(404);
    const data = { ...LLM, plugin_state: {} };
    const told = await refusalOf(await dispatch(door, "model/polling/check", { data }));
    expect(told.message).toBe(
      "Key: 'Data.PluginState' Error:Field validation for 'PluginState' failed on the 'min' tag",
    );
  });
});

/** A call over a plain socket, to see what is on the wire and when. */
async function openRaw(door: Door, call: unknown) {
  const { url } = await door.listen();
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  onTestFinished(() => void socket.destroy());
  await once(socket, "connect");
  let text = "";
  socket.on("data", (piece: Buffer) => {
    text += piece.toString();
  });
  const body = JSON.stringify(call);
  const head = [
    `POST /plugin/${TENANT}/dispatch/tool/invoke HTTP/1.1`,
    ...["Host: door", `X-Api-Key: ${DIFY_KEY}`, "X-Plugin-ID: berth/echo", "Content-Type: application/json"],
    `Content-Length: ${Buffer.byteLength(body)}`,
  ];
  socket.write(`${head.join("\r\n")}\r\n\r\n${body}`);
  return {
    text: () => text,
    async until(part: string) {
      while (!text.includes(part)) await once(socket, "data");
    },
  };
}
