/** What the caller of a hook may cost: sizes of bodies and headers, slow senders and readers, many at once. */
import { describe, expect, test } from "vitest";
import { lastOf, RawClient } from "../harness/clients/raw-client.ts";
import { until } from "../harness/clients/until.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { callHook, errorOf, HOOK, type HookDoor, hex, openHookDoor, sayHello } from "../harness/rigs/hook.ts";

const INTERNAL = { code: -500, type: "PluginDaemonInternalServerError", data: null, args: null };

const events = (door: HookDoor, op: string) => door.logged.filter((line) => line["op"] === op);

const served = (door: HookDoor) => events(door, "hook.serve");

describe("bounds of a caller", () => {
  const post = (more: string, body = "") => `POST /e/${HOOK}/ HTTP/1.1\r\nHost: h\r\n${more}\r\n${body}`;
  const KB = 1024;

  test("improved 7: a body over the bound is refused with 413 before it is sent", async () => {
    const { port } = await openHookDoor({ settings: { hookBodyBytesMax: 10 * KB } });
    const client = new RawClient(port).say(post(`Content-Length: ${10 * KB + 1}\r\n`));
    await client.heard((text) => text.includes("}"));
    expect(client.text).toMatch(/^HTTP\/1.1 413 /);
    expect(client.text).toContain("PluginDaemonBadRequestError");
  });

  test("improved 7: a body without a length is refused with 413 at the bound, and never reaches the plugin", async () => {
    const door = await openHookDoor({ settings: { hookBodyBytesMax: 10 * KB } });
    const client = new RawClient(door.port).say(post("Transfer-Encoding: chunked\r\n"));
    const chunk = `${(4 * KB).toString(16)}\r\n${"x".repeat(4 * KB)}\r\n`;
    client.say(chunk.repeat(3));
    await client.heard((text) => text.includes("413"));
    expect(door.runtime.sessions.size).toBe(0);
  });

  test("a body of exactly the bound arrives whole", async () => {
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

  test("a sender that is too slow is disconnected", async () => {
    const door = await openHookDoor({ serve: { bodyWindowMs: 300, bodyWindowBytesMin: 1000, checkMs: 20 } });
    const client = new RawClient(door.port).say(post("Content-Length: 9000\r\n", "abc"));
    expect(await lastOf(client)).toMatchObject({ status: 408, code: "request_timeout" });
    expect(door.runtime.sessions.size).toBe(0);
  });

  test("the number and the size of headers are bounded", async () => {
    const { port } = await openHookDoor();
    const many = new RawClient(port).say(post("A: b\r\n".repeat(101)));
    const large = new RawClient(port).say(post(`A: ${"b".repeat(20_000)}\r\n`));
    expect([(await lastOf(many)).status, (await lastOf(large)).status]).toEqual([431, 431]);
  });

  test("all bodies in progress share a bound: a body beyond it is refused, and the space is freed again", async () => {
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

  test("a caller that does not read loses its own answer at the bound, and no other caller does", async () => {
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

  test("many callers that do not read share one buffer: each loses its answer at its share", async () => {
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

  test("a caller that leaves ends its own stream; what the plugin still sends is dropped", async () => {
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

  test("500 concurrent callers are each answered with 200", async () => {
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
