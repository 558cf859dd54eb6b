import { expect, test } from "vitest";
import { readHostLine, readPeerLine, sessionOfStart } from "./session-line.ts";

test.each<[string, object]>([
  [
    '{"event":"session","session_id":"s","data":{"type":"stream","data":{}}}',
    { type: "session", sessionId: "s", kind: "stream" },
  ],
  [
    '{ "data": {"type": "end", "data": {}}, "session_id": "s", "event": "session" }',
    { type: "session", sessionId: "s", kind: "end" },
  ],
  ['{"event":"session","session_id":"s","data":5}', { type: "session", sessionId: "s", kind: "" }],
  ['{"event":"heartbeat","session_id":null,"data":{}}', { type: "heartbeat" }],
  ['{"event":"log","data":{"level":"INFO","message":"well"}}', { type: "log", text: "INFO well" }],
  ["a print of the plugin", { type: "log", text: "a print of the plugin" }],
  ['{"event":"session","session_id":7}', { type: "log", text: '{"event":"session","session_id":7}' }],
  ["[1]", { type: "log", text: "[1]" }],
])("a plugin's line %s", (line, read) => {
  expect(readPeerLine(Buffer.from(line))).toEqual(read);
});

test("the session of a line that is not read to its end is found in its start", () => {
  const start = `{"event":"session","session_id":"s","data":{"type":"stream","data":"${"x".repeat(1_000)}`;
  expect(sessionOfStart(Buffer.from(start))).toBe("s");
  expect(sessionOfStart(Buffer.from("x".repeat(1_000)))).toBeUndefined();
});

test("a request opens its session, and an answer to the plugin's own request opens none", () => {
  const nulls = '"conversation_id":null,"message_id":null,"app_id":null,"endpoint_id":null,"context":null';
  expect(readHostLine(Buffer.from(`{"session_id":"s",${nulls},"event":"request","data":{}}`)).opens).toBe(
    "s",
  );
  const answer = `{"session_id":"s",${nulls},"event":"backwards_response","data":{}}`;
  expect(readHostLine(Buffer.from(answer)).opens).toBeUndefined();
  // a caller's text does not make a request an answer
  const text =
    '{"session_id":"s","conversation_id":"\\"event\\":\\"backwards_response\\"","event":"request"}';
  expect(readHostLine(Buffer.from(text)).opens).toBe("s");
});

test("a request names its call for the log between two places, and anything else does not", () => {
  const head = '{"session_id":"s"';
  const id = ',"request_id":"r-1"';
  const { requestId } = readHostLine(
    Buffer.from(`${head}${id},"event":"request","data":{"request_id":"x"}}`),
  );
  expect(requestId).toEqual({ start: head.length, end: head.length + id.length });
  expect(readHostLine(Buffer.from(`${head},"data":{"request_id":"x"}}`)).requestId).toBeUndefined();
});
