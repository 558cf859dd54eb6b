import fc from "fast-check";
import { expect, test } from "vitest";
import { findSessionId, parseAnnouncement, parseSessionLine } from "./codec.ts";

test("every frame that a plugin can write is read back as it was", () => {
  fc.assert(
    fc.property(
      fc.uuid(),
      fc.constantFrom("stream", "invoke", "error", "end"),
      fc.json(),
      (id, type, json) => {
        const data: unknown = JSON.parse(json);
        const line = JSON.stringify({ event: "session", session_id: id, data: { type, data } });
        expect(parseSessionLine(line)).toEqual({ sessionId: id, frame: { type, data } });
      },
    ),
  );
});

test("no text makes the reader throw", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseSessionLine(text)));
});

test.each([
  "",
  "null",
  "[]",
  '{"event":"heartbeat","session_id":null,"data":{}}',
  '{"event":"session","session_id":7,"data":{"type":"end","data":{}}}',
  '{"event":"session","session_id":"a","data":null}',
  '{"event":"session","session_id":"a","data":{"type":"whatever","data":{}}}',
])("%j is no session's frame", (line) => {
  expect(parseSessionLine(line)).toBeUndefined();
});

test("unknown keys are stripped at both levels", () => {
  const line = '{"event":"session","session_id":"a","new":1,"data":{"type":"end","data":{},"newer":2}}';
  expect(parseSessionLine(line)).toEqual({ sessionId: "a", frame: { type: "end", data: {} } });
});

test.each([
  ['{"berth":"frame","session_id":"a","bytes":300000}', { sessionId: "a", bytes: 300_000 }],
  ['{"berth":"frame","session_id":"a","bytes":-1}', undefined],
  ['{"berth":"frame","session_id":"a","bytes":1.5}', undefined],
  ['{"berth":"frame","bytes":1}', undefined],
  ['{"event":"session","session_id":"a"}', undefined],
])("%j announces %j", (line, announcement) => {
  expect(parseAnnouncement(line)).toEqual(announcement);
});

test("a line that is cut still shows its session", () => {
  expect(findSessionId('{"event": "session", "session_id": "abc", "data": {"ty')).toBe("abc");
  expect(findSessionId('{"event": "log"')).toBeUndefined();
});
