/** Plugins' calls back to the platform, as its inner API is asked and as it fails. */
import type { ServerResponse } from "node:http";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { type HostCallType, platformCallTypes } from "../../src/domain/host-call.ts";
import { permissionText } from "../../src/domain/permission.ts";
import { HOST_CALLS } from "../../src/invocation/host-calls/table.ts";
import { until } from "../harness/clients/until.ts";
import { answersOf, callBack, openPlatformDoor } from "../harness/rigs/platform-calls.ts";
import { TENANT } from "../harness/samples/callers.ts";
import { SDK_HOST_CALLS } from "../harness/samples/sdk-host-calls.ts";
import { freePort } from "../harness/servers/free-port.ts";
import { type FakeInnerApi, innerFrame, useInnerApi } from "../harness/servers/inner-api.ts";

let api: FakeInnerApi;
useInnerApi((started) => {
  api = started;
});

const item = (data: unknown) => innerFrame({ data, error: "" });
const isStream = (type: HostCallType) => HOST_CALLS[type].message === "stream";

test("every type asks the platform at its path, for the session's tenant and user", async () => {
  const { call } = await openPlatformDoor(api.url);
  const { session, asked } = await call();
  api.answer = (response, { body }) => {
    const { type } = JSON.parse(body) as { type: HostCallType };
    if (isStream(type)) response.end(Buffer.concat([item({ n: 1 }), item({ n: 2 })]));
    else response.end(JSON.stringify({ data: { data: { n: 1 }, n: 1 }, error: "" }));
  };
  for (const type of platformCallTypes()) {
    const stolen = { tenant_id: "another", user_id: "another", type: "another", own: type };
    const answers = await callBack(session, type, stolen);
    const one = type === "fetch_app" ? { n: 1 } : { data: { n: 1 }, n: 1 };
    expect(answers.map(({ event, message, data }) => [event, message, data])).toEqual(
      isStream(type)
        ? [
            ["response", "stream", { n: 1 }],
            ["response", "stream", { n: 2 }],
            ["end", "", null],
          ]
        : [
            ["response", "struct", one],
            ["end", "", null],
          ],
    );
    const { url, headers, body } = api.asked.at(-1) ?? {};
    expect(url).toBe(`/inner/api/${HOST_CALLS[type].platform?.path}`);
    expect(headers).toMatchObject({ "x-inner-api-key": "inner key", "content-type": "application/json" });
    expect(JSON.parse(body ?? "")).toMatchObject({ tenant_id: TENANT, user_id: "u", type, own: type });
  }
  session.end();
  await (await asked).text();
  await until(() => api.connections === 0);
});

test.each(SDK_HOST_CALLS)(
  "a request of the SDK for %s reaches the platform whole",
  async (_name, type, request) => {
    const { call } = await openPlatformDoor(api.url);
    const { session, asked } = await call();
    api.answer = (response) =>
      response.end(isStream(type) ? item({ n: 1 }) : JSON.stringify({ data: { n: 1 }, error: "" }));
    expect(await callBack(session, type, request)).toMatchObject([{ data: { n: 1 } }, { event: "end" }]);
    expect(JSON.parse(api.asked.at(-1)?.body ?? "")).toEqual({
      ...request,
      tenant_id: TENANT,
      user_id: "u",
      type,
    });
    session.end();
    await (await asked).text();
  },
);

test("items arrive while the answer still goes on, of many calls at once", async () => {
  const { call } = await openPlatformDoor(api.url);
  const { session, asked } = await call();
  const streams: ServerResponse[] = [];
  api.answer = (response) => {
    streams.push(response);
    response.write(item({ at: "first" }));
  };
  const ids = Array.from({ length: 33 }, (_, index) => `call ${index}`);
  for (const id of ids) session.invoke({ type: "llm", backwards_request_id: id, request: { model: id } });
  const [refused = "", ...served] = ids.toReversed();
  expect(answersOf(session, refused)).toMatchObject([
    { event: "error", message: "llm: A session can have at most 32 calls to the host open at once." },
    { event: "end" },
  ]);
  await until(() => served.every((id) => answersOf(session, id).length === 1));
  for (const stream of streams) stream.end(item({ at: "last" }));
  await until(() => served.every((id) => answersOf(session, id).at(-1)?.event === "end"));
  for (const id of served)
    expect(answersOf(session, id).map(({ data }) => data)).toEqual([{ at: "first" }, { at: "last" }, null]);
  session.end();
  await (await asked).text();
});

const broken: [string, (response: ServerResponse) => void, string][] = [
  [
    "401",
    (response) => response.writeHead(401).end("Unauthorized"),
    "status 401): its address or key may be wrong; it said: Unauthorized.",
  ],
  ["404", (response) => response.writeHead(404).end(), "status 404): its address or key may be wrong."],
  ["500", (response) => response.writeHead(500).end("Boom"), "status 500): it said: Boom."],
  [
    "400 with more than is shown",
    (response) => response.writeHead(400).end("x".repeat(5000)),
    `status 400): it said: ${"x".repeat(1000)}....`,
  ],
  [
    "a reset before its answer",
    (response) => response.destroy(),
    "no status): the server closed the connection (ECONNRESET).",
  ],
  [
    "a reset in the middle",
    (response) => {
      response.write(item({}));
      setImmediate(() => response.socket?.resetAndDestroy());
    },
    "status 200 after 1 item): the server closed the connection (ECONNRESET).",
  ],
  [
    "a frame that is cut",
    (response) => response.end(item({ long: "x" }).subarray(0, 20)),
    "status 200): frame 1 is cut after 6 of 32 bytes.",
  ],
  [
    "a document in place of frames",
    (response) => response.end('{"data":{}}'),
    "status 200): frame 1 begins with the byte 0x7b; accepted: 0x0f.",
  ],
  [
    "a frame over the limit",
    (response) => response.end(item("x".repeat(100_000))),
    "status 200): frame 1 has 100022 bytes; accepted: at most 100000.",
  ],
  [
    "a frame that is no JSON",
    (response) => response.end(Buffer.concat([item({}), item({}), innerFrame("<html>")])),
    "status 200 after 2 items): it sent what is not JSON at character 0; accepted: a JSON object with data and error.",
  ],
  [
    "an error in a frame",
    (response) => response.end(innerFrame({ data: null, error: "no credits" })),
    "status 200): it reported the error: no credits.",
  ],
  ["no data", (response) => response.end(innerFrame({ error: "" })), "status 200): it sent no data."],
];

test.each(broken)("%s ends the call back with hop, status and cause", async (_name, answer, text) => {
  const { door, call } = await openPlatformDoor(api.url);
  const { session, asked } = await call();
  api.answer = answer;
  const last = (await callBack(session, "llm", {})).slice(-2);
  expect(last).toMatchObject([
    { event: "error", message: `llm: The platform's inner API failed (invoke/llm, ${text}` },
    { event: "end", data: null },
  ]);
  session.end();
  expect((await asked).status).toBe(200);
  await until(() => api.connections === 0 && door.invoker.openSessions === 0);
});

test("a single answer fails in the same words, and the log says who failed", async () => {
  const { door, call } = await openPlatformDoor(api.url);
  const { session, asked } = await call();
  const failure = async (text: string) => {
    api.answer = (response) => response.end(text);
    const before = api.asked.length;
    const [answer] = await callBack(session, "rerank", {}, `call ${before}`);
    return answer?.message;
  };
  const hop = "rerank: The platform's inner API failed (invoke/rerank, status 200): ";
  expect(await failure('{"data":null,"error":"no credits"}')).toBe(
    `${hop}it reported the error: no credits.`,
  );
  expect(await failure("{}")).toBe(`${hop}it sent no data.`);
  expect(await failure("x")).toContain(`${hop}it sent what is not JSON at character 0`);
  expect(await failure("x".repeat(100_001))).toBe(`${hop}an answer of more than 100000 bytes.`);
  const logged = door.logged.filter(({ op }) => op === "invocation.host_call");
  const server = "the platform's inner API";
  const refused = { ok: false, code: "platform_refused", type: "rerank", server, items: 0 };
  expect(logged).toMatchObject([refused, refused, refused, refused]);
  session.end();
  await (await asked).text();
  await until(() => api.connections === 0);
});

test("a platform that cannot be reached ends the call back", async () => {
  const { call } = await openPlatformDoor(`http://127.0.0.1:${await freePort()}`);
  const { session, asked } = await call();
  const [refused] = await callBack(session, "tool");
  expect(refused?.message).toBe(
    "tool: The platform's inner API failed (invoke/tool, no status): connection refused (ECONNREFUSED).",
  );
  session.end();
  await (await asked).text();
});

test("a platform that takes a connection and no more ends with the deadline of the session", async () => {
  const sockets = new Set<object>();
  const silent = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => sockets.delete(socket));
    socket.resume();
  });
  const port = await freePort();
  await new Promise<void>((resolve) => silent.listen(port, "127.0.0.1", resolve));
  const { door, call } = await openPlatformDoor(`http://127.0.0.1:${port}`, { limits: { timeoutMs: 400 } });
  const { session, asked } = await call();
  const [failure] = await callBack(session, "llm");
  expect(failure?.message).toMatch(
    /^llm: The platform's inner API failed \(invoke\/llm, no status\): it did not answer within \d+ ms, the time that the call had left\.$/,
  );
  expect(await (await asked).text()).toMatch(
    /The call did not end within 400 ms \(total clock\); the plugin waited for llm from the platform's inner API, for \d+ ms\./,
  );
  session.end();
  await until(() => sockets.size === 0 && door.invoker.openSessions === 0);
  await new Promise((resolve) => silent.close(resolve));
});

test("an answer that stops after some items ends with the deadline of the session", async () => {
  const { call } = await openPlatformDoor(api.url, { limits: { timeoutMs: 400 } });
  api.answer = (response) => response.write(item({ n: 1 }));
  const { session, asked } = await call();
  const answers = await callBack(session, "llm");
  expect(answers).toMatchObject([{ data: { n: 1 } }, { event: "error" }, { event: "end" }]);
  expect(answers[1]?.message).toMatch(/status 200 after 1 item\): its answer did not end within \d+ ms/);
  session.end();
  await (await asked).text();
  await until(() => api.connections === 0);
});

test("a call back may take longer than a plugin may be silent; after it the silence counts again", async () => {
  const { call } = await openPlatformDoor(api.url, { settings: { idleTimeoutMs: 250 } });
  api.answer = (response) => void setTimeout(() => response.end(item({ n: 1 })), 900);
  const { session, asked } = await call();
  expect(await callBack(session, "llm")).toMatchObject([{ data: { n: 1 } }, { event: "end" }]);
  expect(await (await asked).text()).toContain("The plugin sent nothing for 250 ms (idle clock).");
  session.end();
});

test.each<[string, (session: { end(): void; lost(fault: Fault): void }) => void]>([
  ["its plugin ends it", (session) => session.end()],
  ["its runtime is lost", (session) => session.lost(new Fault("link_lost", "gone"))],
])("the connection to the platform ends with the session when %s", async (_name, leave) => {
  const { door, call } = await openPlatformDoor(api.url);
  api.answer = (response) => response.write(item({ n: 1 }));
  const { session, asked } = await call();
  session.invoke({ type: "llm", backwards_request_id: "1", request: {} });
  session.invoke({ type: "tool", backwards_request_id: "2", request: {} });
  await until(() => answersOf(session, "1").length + answersOf(session, "2").length === 2);
  expect(api.connections).toBe(2);
  leave(session);
  await (await asked).text();
  await until(() => api.connections === 0 && door.invoker.openSessions === 0);
});

test("types that are set to local do not ask the platform, and storage never does", async () => {
  const { call, first } = await openPlatformDoor(api.url, {
    places: { types: { tool: "local", app: "local" } },
  });
  api.answer = (response) => response.end(item({ of: "platform" }));
  const { session: outer, asked } = await call();
  expect(await callBack(outer, "storage", { opt: "set", key: "k", value: "00" })).toMatchObject([
    { data: { data: "ok" } },
    { event: "end" },
  ]);
  expect((await callBack(outer, "app"))[0]?.message).toBe(
    "app: app is not available because no platform is configured to serve it.",
  );
  outer.invoke({ type: "tool", backwards_request_id: "t", request: { provider: "echo", tool: "sing" } });
  const inner = await first(2);
  inner.end();
  await until(() => answersOf(outer, "t").length === 1);
  expect(api.asked).toEqual([]);
  expect(await callBack(outer, "llm")).toMatchObject([{ data: { of: "platform" } }, { event: "end" }]);
  outer.end();
  await (await asked).text();
});

test("what the manifest does not ask for is refused with the permission, and the platform hears nothing", async () => {
  const { call } = await openPlatformDoor(api.url, {
    declaration: { resource: { memory: 1, permission: {} } },
  });
  const { session, asked } = await call();
  for (const type of platformCallTypes().filter((one) => one !== "upload_file")) {
    const [refusal] = await callBack(session, type);
    expect(refusal?.message).toBe(
      `${type}: ${type} needs ${permissionText(HOST_CALLS[type].needs ?? "app")} in the plugin's manifest.`,
    );
  }
  expect(api.asked).toEqual([]);
  session.end();
  await (await asked).text();
});
