import { expect, test } from "vitest";
import { Calls } from "./calls.ts";

const asked = (session_id: string, data: object) => JSON.stringify({ session_id, event: "request", data });
const said = (session_id: string, type: string, data: unknown = {}) =>
  JSON.stringify({ event: "session", session_id, data: { type, data } });
const TOOL = { type: "tool", action: "invoke_tool", provider: "p", tool: "say" };

test("a call has its name, the time from request to end, and the number of its messages", () => {
  const calls = new Calls();
  calls.request(asked("1", TOOL), 1000);
  calls.request(asked("2", { type: "model", action: "invoke_llm", provider: "p", model: "m" }), 1010);
  expect(calls.answer(said("1", "stream"), 1020)).toBeUndefined();
  expect(calls.answer(said("2", "end"), 1030)).toEqual({
    name: "model/invoke_llm m",
    ms: 20,
    items: 0,
    error: undefined,
  });
  expect(calls.answer(said("1", "end"), 1040)).toMatchObject({
    name: "tool/invoke_tool say",
    ms: 40,
    items: 1,
  });
  expect(calls.answer(said("1", "end"), 1050)).toBeUndefined();
});

test("a failed call has the type, the message and the traceback of the plugin's error", () => {
  const calls = new Calls();
  calls.request(asked("1", TOOL), 0);
  const failure = { error_type: "ValueError", message: "no", args: { traceback: "Traceback: ..." } };
  calls.answer(said("1", "error", failure), 1);
  expect(calls.answer(said("1", "end"), 2)?.error).toEqual({
    type: "ValueError",
    message: "no",
    traceback: "Traceback: ...",
  });
  calls.request(asked("2", TOOL), 0);
  calls.answer(said("2", "error", { error_type: "KeyError", message: "'x'" }), 1);
  expect(calls.answer(said("2", "end"), 2)?.error).toEqual({ type: "KeyError", message: "'x'" });
});

test("calls that a plugin leaves open when it ends have failed", () => {
  const calls = new Calls();
  calls.request(asked("1", TOOL), 0);
  expect(calls.drop(5)).toMatchObject([
    { name: "tool/invoke_tool say", ms: 5, error: { message: "the plugin ended first" } },
  ]);
  expect(calls.drop(6)).toEqual([]);
});

test("lines that are no requests and no answers are ignored", () => {
  const calls = new Calls();
  for (const line of ["", "{", "[]", '{"event":"heartbeat"}', said("unknown", "end")]) {
    calls.request(line, 0);
    expect(calls.answer(line, 0)).toBeUndefined();
  }
  expect(calls.drop(0)).toEqual([]);
});
