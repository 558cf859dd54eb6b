/** How the door stops, over real sockets: nothing that was begun is lost without a word. */
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { answersIn, lastOf, RawClient } from "../harness/clients/raw-client.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { type DoorOptions, openDoor } from "../harness/rigs/door.ts";
import { ADMIN_KEY, TENANT } from "../harness/samples/callers.ts";

const AUTH = `Authorization: Bearer ${ADMIN_KEY}\r\n`;
const INVOKE = `/v1/tenants/${TENANT}/plugins/berth/echo/invoke_tool`;
const CALL = JSON.stringify({ user_id: "u", provider: "echo", tool_name: "say", tool_parameters: { n: 1 } });
const get = (path: string) => `GET ${path} HTTP/1.1\r\nHost: door\r\n${AUTH}\r\n`;
const CALL_REQUEST = `POST ${INVOKE} HTTP/1.1\r\nHost: door\r\n${AUTH}Content-Type: application/json\r\nContent-Length: ${CALL.length}\r\n\r\n${CALL}`;

/** A served door whose calls are held, and its stop. */
async function aDoor(serve: DoorOptions["serve"] = {}) {
  const held: FakeSession[] = [];
  const door = await openDoor({
    serve,
    script: (session) => void held.push(session),
    settings: { drainMs: 5000 },
    async *logs(signal) {
      yield "hello";
      await once(signal, "abort");
    },
  });
  onTestFinished(() => door[Symbol.asyncDispose]());
  const served = await door.listen();
  const port = Number(new URL(served.url).port);
  const client = () => new RawClient(port);
  return { door, held, client, stop: () => served[Symbol.asyncDispose]() };
}

/** A call of which the first item has arrived. */
async function openCall({
  client,
  held,
}: {
  client: () => RawClient;
  held: FakeSession[];
}): Promise<RawClient> {
  const before = held.length;
  const caller = client().say(CALL_REQUEST);
  await expect.poll(() => held.length).toBe(before + 1);
  held[before]?.item({ n: 1 });
  await caller.heard((text) => text.includes("event: item"));
  return caller;
}

test("a running call and a running upload complete, and the stop waits for them", async () => {
  const parts = await aDoor({ drainMs: 10_000 });
  const caller = await openCall(parts);
  const upload = parts
    .client()
    .say(
      `POST /v1/packages HTTP/1.1\r\nHost: d\r\n${AUTH}Content-Type: application/octet-stream\r\nContent-Length: 6\r\n\r\nabc`,
    );
  await expect.poll(() => parts.door.received()).toBe(2);
  const stopped = parts.stop();
  upload.say("def");
  const kept = await lastOf(upload);
  expect(kept).toMatchObject({ status: 201 });
  expect(kept.headers).toContain("connection: close");
  parts.held[0]?.item({ n: 2 });
  parts.held[0]?.end();
  await caller.closed;
  expect(caller.text).toContain("event: end");
  await stopped;
});

test("calls, documents and other requests that do not end in time get an error before their connection closes", async () => {
  const parts = await aDoor({ drainMs: 200 });
  const caller = await openCall(parts);
  const document = parts.client().say(CALL_REQUEST.replace("Host:", "Accept: application/json\r\nHost:"));
  await expect.poll(() => parts.held.length).toBe(2);
  const { promise, resolve } = Promise.withResolvers<void>();
  onTestFinished(() => resolve());
  parts.door.memory.hang = promise;
  const hanging = parts.client().say(get(`/v1/tenants/${TENANT}/installations`));
  await expect.poll(() => parts.door.received()).toBe(3);
  await parts.stop();
  await caller.closed;
  expect(caller.text).toMatch(/event: error\ndata: {"error":{"code":"shutting_down"/);
  for (const client of [document, hanging]) {
    expect(await lastOf(client)).toMatchObject({ status: 503, code: "shutting_down" });
  }
});

test("the stream of a control route ends at once with shutting_down", async () => {
  const { door, client, stop } = await aDoor({ drainMs: 10_000 });
  const [installation] = door.memory.installations;
  if (installation === undefined) throw new Error("no installation");
  const reader = client().say(get(`/v1/tenants/${TENANT}/installations/${installation.id}/logs?follow=true`));
  await reader.heard((text) => text.includes("hello"));
  await stop();
  await reader.closed;
  expect(reader.text).toMatch(/event: error\ndata: {"error":{"code":"shutting_down"/);
});

test("during the drain delay readiness fails, and old and new connections get one last answer each", async () => {
  const { door, client, stop } = await aDoor({ drainDelayMs: 500 });
  const old = client().say(get("/health"));
  await old.heard((text) => text.includes("ok"));
  const stopped = stop();
  expect(await lastOf(client().say(get("/health/ready")))).toMatchObject({ status: 503 });
  old.say(get("/health"));
  for (const at of [old, client().say(get("/health"))]) {
    const answer = await lastOf(at);
    expect(answer.status).toBe(200);
    expect(answer.headers).toContain("connection: close");
  }
  await stopped;
  await expect(fetch((await door.listen()).url)).rejects.toThrow();
});

test("a request over an idle connection during the stop is answered, and an idle connection ends without a reset", async () => {
  const { client, stop } = await aDoor({ idleLingerMs: 300, drainMs: 5000 });
  const [busy, halfSaid, idle] = [client(), client(), client()];
  for (const it of [busy, halfSaid, idle]) {
    it.say(get("/health"));
    await it.heard((text) => text.includes("ok"));
  }
  const errors: Error[] = [];
  idle.socket.on("error", (error) => errors.push(error));
  halfSaid.say("GET /health HTTP/1.1\r\n");
  const stopped = stop();
  busy.say(get("/health"));
  expect((await busy.end()).map(({ status }) => status)).toEqual([200, 200]);
  await idle.closed;
  expect(errors).toEqual([]);
  halfSaid.say(`Host: d\r\n\r\n`);
  expect((await halfSaid.end()).map(({ status }) => status)).toEqual([200, 200]);
  await stopped;
});

test("a connection that is idle when listening stops is answered once more while it lingers", async () => {
  const { door, client, stop } = await aDoor({ idleLingerMs: 1000, drainMs: 5000 });
  const idle = client().say(get("/health"));
  await idle.heard((text) => text.includes("ok"));
  const { url } = await door.listen();
  const stopped = stop();
  const accepts = () =>
    fetch(`${url}/health`).then(
      () => true,
      () => false,
    );
  await expect.poll(accepts, { interval: 10 }).toBe(false);
  idle.say(get("/health"));
  expect((await idle.end()).map(({ status }) => status)).toEqual([200, 200]);
  await stopped;
});

test("clients that send requests without a pause on their own connections lose no request during the stop", async () => {
  const { client, stop } = await aDoor({ idleLingerMs: 300, drainMs: 5000 });
  const clients = Array.from({ length: 50 }, () => client());
  const asked = clients.map(async (it) => {
    for (let sent = 1; ; sent++) {
      it.say(get("/health"));
      await it.heard((text) => answersIn(text).length === sent && text.endsWith("}"));
      if (answersIn(it.text).at(-1)?.headers.includes("connection: close")) return sent;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 20));
    }
  });
  await clients[0]?.heard((text) => answersIn(text).length > 5);
  await stop();
  // each heard of the end from an answer
  expect((await Promise.all(asked)).some((sent) => sent > 5)).toBe(true);
});
