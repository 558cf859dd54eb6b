import { expect, test } from "vitest";
import { parseControlMessage, parseHello } from "./control-message.ts";

const pong = {
  op: "pong",
  id: 1,
  alive: true,
  heartbeat_age_ms: null,
  resident_bytes: 5,
  oom_kills: 0,
  open_sessions: 0,
};

test.each([
  { op: "ready" },
  pong,
  { op: "exit", exit_code: 137, signal: null, oom: true },
  { op: "exit", exit_code: null, signal: "SIGRTMIN", oom: false },
  { op: "frame_too_large", session_id: "a-session", bytes: 20_000_000 },
  { op: "dropped", session_ids: ["one", "two"], lines: 2, bytes: 100 },
  { op: "notice", kind: "line_too_large", bytes: 20_000_000 },
])("a message of the runner is read: $op", (message) => {
  expect(parseControlMessage(JSON.stringify(message))).toEqual(message);
});

const NUL = '"a\\u0000b"';

test.each([
  ["a NUL in a session's id", `{"op":"frame_too_large","session_id":${NUL},"bytes":1}`],
  ["a NUL in a signal", `{"op":"exit","exit_code":null,"signal":${NUL},"oom":false}`],
  ["an invalid signal", '{"op":"exit","exit_code":null,"signal":"rm -rf","oom":false}'],
  ["half a surrogate pair", '{"op":"frame_too_large","session_id":"\\ud800","bytes":1}'],
  ["a line end", '{"op":"dropped","session_ids":["a\\nb"],"lines":1,"bytes":1}'],
  ["a long id", `{"op":"frame_too_large","session_id":"${"x".repeat(257)}","bytes":1}`],
  ["many ids", JSON.stringify({ op: "dropped", session_ids: Array(70_000).fill("x"), lines: 1, bytes: 1 })],
  [
    "a number that is not finite",
    JSON.stringify(pong).replace('"resident_bytes":5', '"resident_bytes":1e999'),
  ],
  ["a negative number", JSON.stringify({ ...pong, open_sessions: -1 })],
  ["a fraction", JSON.stringify({ ...pong, open_sessions: 0.5 })],
  ["an invalid exit code", '{"op":"exit","exit_code":256,"signal":null,"oom":false}'],
  ["a notice of another kind", `{"op":"notice","kind":${NUL}}`],
  ["an op that is no text", '{"op":["ready"]}'],
  ["text that is not JSON", "ready"],
  ["an empty line", ""],
  ["a deep nest", "[".repeat(100_000)],
])("%s is refused", (_what, text) => {
  expect(parseControlMessage(text)).toBe("refused");
});

test("an operation of a newer runner is ignored", () => {
  expect(parseControlMessage('{"op":"weather","fine":true}')).toBeUndefined();
});

test("a hello may have unknown fields, and its known fields are within bounds", () => {
  const proof = "0".repeat(64);
  expect(parseHello(`{"hello":"data","count":1,"proof":"${proof}","frame_bytes_max":1}`)).toEqual({
    hello: "data",
    count: 1,
    proof,
  });
  expect(parseHello('{"hello":"data"}')).toEqual({ hello: "data" });
  for (const said of [
    '{"hello":"both"}',
    `{"hello":"data","proof":"${proof}0"}`,
    '{"hello":"data","count":-1}',
  ]) {
    expect(parseHello(said)).toBeUndefined();
  }
});
