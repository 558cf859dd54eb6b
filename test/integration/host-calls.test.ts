import { expect, test } from "vitest";
import { invokeTool, PLUGIN_PATH, post } from "../harness/clients/invocations.ts";
import { until } from "../harness/clients/until.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { heldSessions } from "../harness/doubles/held-sessions.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";

const storageCall = (id: string, request: object) => ({ type: "storage", backwards_request_id: id, request });

/** Answers to backwards calls, as the plugin reads them. */
const answersOf = (session: FakeSession) =>
  session.sent.map(
    (line) => (JSON.parse(line) as { data: { event: string; message: string; data: unknown } }).data,
  );

test("a plugin's storage keeps values per tenant, within the quota of its manifest", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script });
  const asked = invokeTool(door);
  const session = await first(1);
  const call = async (request: object) => {
    const before = session.sent.length;
    session.invoke(storageCall("a".repeat(32), request));
    await until(() =>
      answersOf(session)
        .slice(before)
        .some(({ event }) => event === "end"),
    );
    return answersOf(session)[before];
  };
  expect(await call({ opt: "set", key: "k/1", value: "0aff" })).toMatchObject({
    event: "response",
    data: { data: "ok" },
  });
  expect(await call({ opt: "get", key: "k/1" })).toMatchObject({ data: { data: "0aff" } });
  expect(await call({ opt: "exist", key: "k/2" })).toMatchObject({ data: { data: false } });
  expect(await call({ opt: "set", key: "k/1", value: "00".repeat(1025) })).toMatchObject({ event: "error" });
  expect(await call({ opt: "get", key: "k/1" })).toMatchObject({ data: { data: "0aff" } });
  expect(await call({ opt: "get", key: "../x" })).toMatchObject({ event: "error" });
  expect(await call({ opt: "del", key: "k/1" })).toMatchObject({ data: { data: "ok", deleted_num: 1 } });
  expect(await call({ opt: "get", key: "k/1" })).toMatchObject({ event: "error" });
  session.end();
  await (await asked).text();
});

test("a plugin can call another tool of its tenant, and a forbidden or unavailable call is an error", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script });
  const asked = invokeTool(door);
  const outer = await first(1);
  outer.invoke({
    type: "tool",
    backwards_request_id: "t",
    request: { tool_type: "builtin", provider: "berth/echo/echo", tool: "sing", tool_parameters: { a: 1 } },
  });
  const inner = await first(2);
  expect(inner.data).toMatchObject({
    user_id: "u",
    provider: "echo",
    tool: "sing",
    tool_parameters: { a: 1 },
  });
  inner.item({ note: 1 });
  inner.end();
  await until(() => outer.sent.length === 2);
  expect(answersOf(outer)).toMatchObject([
    { event: "response", message: "stream", data: { note: 1 } },
    { event: "end", data: null },
  ]);
  outer.invoke({ type: "app", backwards_request_id: "x", request: {} });
  outer.invoke({ type: "upload_file", backwards_request_id: "y", request: {} });
  await until(() => outer.sent.length === 6);
  const errors = answersOf(outer).filter(({ event }) => event === "error");
  expect(errors.map(({ message }) => message)).toEqual([
    "app: app needs resource.permission.app.enabled in the plugin's manifest.",
    "upload_file: upload_file is not available because no platform is configured to serve it.",
  ]);
  outer.end();
  await (await asked).text();
});

test("a model cannot call its host", async () => {
  const { script, first } = heldSessions();
  const door = await openTestDoor({ script });
  const asked = post(door, `${PLUGIN_PATH}/invoke_llm`, {
    user_id: "u",
    provider: "echo",
    model: "m",
    prompt_messages: [],
  });
  const session = await first(1);
  session.invoke(storageCall("z", { opt: "get", key: "k" }));
  await until(() => session.sent.length === 2);
  expect(answersOf(session)[0]).toMatchObject({
    event: "error",
    message: "storage: A model must not call back to the host.",
  });
  session.end();
  await (await asked).text();
});

test("a cycle of calls between plugins is cut at a depth that the error names", async () => {
  const { script, sessions, first } = heldSessions();
  const door = await openTestDoor({ script });
  const asked = invokeTool(door);
  for (let depth = 0; depth <= 4; depth++) {
    const session = await first(depth + 1);
    session.invoke({
      type: "tool",
      backwards_request_id: `${depth}`,
      request: { provider: "echo", tool: "sing", tool_parameters: {} },
    });
  }
  const deepest = await first(5);
  await until(() => deepest.sent.length === 2);
  expect(answersOf(deepest)).toMatchObject([
    { event: "error", message: "tool: Plugins can call each other at most 4 levels deep." },
    { event: "end" },
  ]);
  expect(sessions).toHaveLength(5);
  for (const session of sessions.toReversed()) session.end();
  await (await asked).text();
});
