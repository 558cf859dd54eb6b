import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { FRAME_DEPTH_MAX, protocolFault, readJson } from "../domain/frame.ts";
import { parseAnnouncement, parseSessionBytes, parseSessionLine } from "./codec.ts";

const envelope = (inner: string) => `{"event":"session","session_id":"a","data":${inner}}`;
const ofType = (type: string, data: string) => envelope(`{"type":"${type}","data":${data}}`);

test("an item of a plugin comes out as the original text", () => {
  fc.assert(
    fc.property(fc.uuid(), fc.json(), (id, json) => {
      const line = `{"event": "session", "session_id": "${id}", "data": {"type": "stream", "data": ${json} }}`;
      expect(parseSessionLine(line)).toMatchObject({
        sessionId: id,
        frame: { type: "stream", data: { text: json } },
      });
    }),
    { numRuns: 50 },
  );
});

test.each(["9007199254740993", "1.0", "-0", "1e300", "1000000000000000000000000000000", '"\\ud83d"', "null"])(
  "%s keeps its digits",
  (json) => {
    expect(parseSessionLine(ofType("stream", `[${json}]`)).frame).toMatchObject({
      data: { text: `[${json}]` },
    });
  },
);

test("no text and no bytes make the reader throw", () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => void parseSessionLine(text)));
  fc.assert(fc.property(fc.uint8Array(), (bytes) => void parseSessionBytes(Buffer.from(bytes))));
});

const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

describe("a line that is not a frame is reported with its session, the wrong field and what is accepted", () => {
  test.each([
    [ofType("stream", "1").slice(0, -2), "the line", /^what is not JSON at character \d+$/],
    [ofType("stream", "NaN"), "the line", /^what is not JSON at character \d+$/],
    [ofType("stream", deep(8000)), "the line", /^nested more than \d+ deep$/],
    ['{"event":"log","session_id":"a","data":{}}', "event", '"log"'],
    ['{"session_id":"a","event":["session"],"data":{}}', "event", /missing/],
    [envelope('{"type":"stream"}'), "data.data", "missing"],
    [envelope('{"type":"whatever","data":{}}'), "data.type", '"whatever"'],
    [envelope('{"type":{"toString":1,"valueOf":1},"data":{}}'), "data.type", /missing/],
    [envelope("null"), "data.type", /missing/],
    [envelope("[]"), "data.type", /missing/],
    [envelope('{"type":"error"}'), "data.data", "missing"],
    [ofType("error", '{"message":{"toString":1,"valueOf":1}}'), "data.data.message", "an object"],
    [ofType("error", '{"error_type":["E"],"message":"m"}'), "data.data.error_type", "a list"],
    [ofType("error", '{"message":"m","args":[]}'), "data.data.args", "a list"],
    [ofType("error", `{"args":{"a":[${"{},".repeat(20_000)}1]}}`), "data.data", /^20\d+ lists/],
    [ofType("error", `{"args":{"a":${deep(600)}}}`), "the line", /^nested/],
    [ofType("invoke", "[]"), "data.data", /missing/],
    [ofType("invoke", '{"type":"storage","request":{}}'), "data.data.backwards_request_id", /missing/],
    [ofType("invoke", '{"backwards_request_id":1,"type":"t"}'), "data.data.backwards_request_id", /missing/],
    [ofType("invoke", '{"backwards_request_id":"1","type":{"toString":1}}'), "data.data.type", /missing/],
    [
      ofType("invoke", `{"backwards_request_id":"1","type":"${"t".repeat(300)}"}`),
      "data.data.type",
      /missing/,
    ],
    [ofType("invoke", '{"backwards_request_id":"1","type":"\\ud83d"}'), "data.data.type", /missing/],
    [
      ofType("invoke", '{"backwards_request_id":"1\\u0000","type":"t"}'),
      "data.data.backwards_request_id",
      /m/,
    ],
    [
      ofType("invoke", '{"backwards_request_id":"1","type":"t","request":[]}'),
      "data.data.request",
      /missing/,
    ],
  ])("$#", (line, field, found) => {
    const read = parseSessionLine(line);
    expect(read).toMatchObject({ sessionId: "a", frame: undefined, breach: { field } });
    const { breach } = read as { breach: { field: string; found: string; accepted: string } };
    expect(breach.found).toMatch(found);
    expect(protocolFault(breach).message).toContain(
      `${field} is ${breach.found}; accepted: ${breach.accepted}.`,
    );
  });

  test("even if it names no session", () => {
    expect(parseSessionLine('{"event":"session","session_id":7,"data":{"type":"end"}}')).toMatchObject({
      sessionId: undefined,
      breach: { field: "session_id" },
    });
    expect(parseSessionLine("")).toMatchObject({ sessionId: undefined, breach: { field: "the line" } });
    expect(parseSessionLine('{"event":"session","session_id":"abc","data":{"ty')).toMatchObject({
      sessionId: "abc",
    });
  });

  test("even if its bytes are not UTF-8", () => {
    const line = Buffer.from(ofType("stream", '"\u00e4"'));
    expect(parseSessionBytes(line).frame).toMatchObject({ data: { text: '"\u00e4"' } });
    line[line.indexOf(0xc3) + 1] = 0x20;
    expect(parseSessionBytes(line)).toMatchObject({
      sessionId: "a",
      breach: { found: "bytes that are not UTF-8" },
    });
    const meant = Buffer.from(ofType("stream", '"\ufffd"'));
    expect(parseSessionBytes(meant).frame).toMatchObject({ data: { text: '"\ufffd"' } });
  });
});

test("an error's fields are texts and an object, and each may be missing", () => {
  const error = (data: string) => parseSessionLine(ofType("error", data)).frame;
  expect(error('{"error_type":"E","message":"m\\ud83d","args":{"a":1}}')).toEqual({
    type: "error",
    error: { errorType: "E", message: "m\ufffd", args: { a: 1 } },
  });
  for (const nothing of ['{"message":null}', "null", "7", '"text"'])
    expect(error(nothing)).toEqual({
      type: "error",
      error: { errorType: "Exception", message: "The plugin gave no reason.", args: {} },
    });
});

test("a call's request stays text until it is served", () => {
  const line = ofType("invoke", '{"backwards_request_id":"1","type":"storage","request":{"n":1.0},"new":[]}');
  expect(parseSessionLine(line).frame).toEqual({
    type: "invoke",
    call: { id: "1", type: "storage", request: { text: '{"n":1.0}', nodes: 2 } },
  });
  const bare = parseSessionLine(ofType("invoke", '{"backwards_request_id":"1","type":"t","request":null}'));
  expect(bare.frame).toMatchObject({ call: { request: { text: "{}" } } });
});

test("unknown keys are stripped, escapes in names are decoded, and the last of equal keys counts", () => {
  const line =
    '{"\\u0065vent":"session","session_id":"b","session_id":"a","new":[1],"data":{"type":"end","newer":2}}';
  expect(parseSessionLine(line)).toEqual({ sessionId: "a", frame: { type: "end" } });
});

test("an item stays on one line: a carriage return between tokens becomes a space", () => {
  expect(parseSessionLine(ofType("stream", '{"a":\r1,"b":"\\r"}')).frame).toMatchObject({
    data: { text: '{"a": 1,"b":"\\r"}' },
  });
});

test("data of the maximum depth is read, and data that is too wide is passed on but not parsed", () => {
  expect(parseSessionLine(ofType("stream", deep(FRAME_DEPTH_MAX))).frame?.type).toBe("stream");
  const { frame } = parseSessionLine(ofType("stream", `[${"[],".repeat(300_000)}1]`));
  if (frame?.type !== "stream") throw new Error("no item");
  expect(() => readJson(frame.data)).toThrow(expect.objectContaining({ code: "plugin_protocol" }));
});

test.each([
  ['{"berth":"frame","session_id":"a","bytes":300000}', { sessionId: "a", bytes: 300_000 }],
  ['{"berth":"frame","session_id":"a","bytes":-1}', undefined],
  ['{"berth":"frame","session_id":"a","bytes":1.5}', undefined],
  ['{"berth":"frame","bytes":1}', undefined],
  ['{"event":"session","session_id":"a"}', undefined],
])("%j announces %j", (line, announcement) => {
  expect(parseAnnouncement(Buffer.from(line))).toEqual(announcement);
});
