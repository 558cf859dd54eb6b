/** Generated lines of a plugin, right and wrong in every way that came to mind. The same seed makes the same ones. */

/** Bytes to print for a session's id, with their newline. */
export type RawLine = (sessionId: string) => Buffer;

const WIDE_BYTES = 2_000_000;

/** `%` stands for the session's id. What is no text in UTF-8 is written as Latin-1. */
const TEXTS: readonly string[] = [
  '{"event":"session","session_id":"%","data":{"type":"\\ud800","data":{}}}',
  '{"event":"session","session_id":"\\ud800","data":{"type":"stream","data":{}}}',
  '{"session_id":"%","event":"session","data":{"type":"\\udfff"}}',
  '{"event":"session","session_id":"\xff\xfe","data":{"type":"stream"',
  '{"event":"session","session_id":"%\xff","data":{"type":"stream","data":{}}}',
  '{"event":"log","data":{"level":"\\ud800","message":"\\udc00"}}',
  '{"event":"log","data":{"level":{},"message":[1]}}',
  '{"event":"log","data":{"level":1e999,"message":NaN}}',
  '{"event":"heartbeat","session_id":{},"data":[[[]]]}',
  '{"event":["session"],"session_id":"%","data":{}}',
  '{"event":"session","session_id":"%","data":{"type":"end"',
  '{"event":"session","session_id":"%","data":{"type":"stream"},"session_id":"other","data":1}',
  '{"berth":"frame","session_id":"%","bytes":900000}',
  ' {"berth":"frame","event":"session","session_id":"%","bytes":900000}',
  '\xef\xbb\xbf{"berth":"frame","session_id":"%","bytes":900000}',
  '{"session_id":"%"',
  '{\0"\0e\0v\0e\0n\0t\0"\0:\0\x011\0}\0',
  "\0",
  "null",
  '"',
  "{",
  "}{",
  '{"event"',
];

const LARGE: readonly string[] = [
  '{"event":"session",'.repeat(1000),
  '{"event":"session","session_id":"%",'.repeat(5000),
  '{"event"'.repeat(20_000),
  `{"event":"session","session_id":"%","data":${"[".repeat(8000)}`,
  `{"event": "session","data":${"[".repeat(100_000)}${"]".repeat(100_000)},"session_id":"%"}`,
  '{"a":'.repeat(40_000),
  `{"event":"log","data":{"level":"INFO","message":${"[".repeat(900)}${"]".repeat(900)}}}`,
  `{"data":${"9".repeat(200_000)},"event":"session","session_id":"%"}`,
  `{"data":[${"[],".repeat(WIDE_BYTES / 3)}[]],"event":"session","session_id":"%"}`,
  `{"data":[${"[],".repeat(60_000)}[]],"event":"session","session_id":"%"}`,
  `print${" ".repeat(300_000)}{"event":"session"`,
  " ".repeat(WIDE_BYTES),
  `{"event":"session","session_id":"\xff","data":"${"x".repeat(5 * WIDE_BYTES)}"`,
  `{"event":"session","session_id":"%","data":{"type":"stream","data":"${"x".repeat(5 * WIDE_BYTES)}"`,
];

const VALUES = [
  ...["null", "true", "0", "-1.5", "1e400", '""', '"session"', '"stream"', '"end"', '"%"', "[]", "{}"],
  ...[
    '"\\ud800"',
    '"\\u0000"',
    '"\xff"',
    `${"[".repeat(300)}${"]".repeat(300)}`,
    '{"type":"end"}',
    "nonsense",
  ],
];

const GENERATED_LINES = 120;

export function rawLines(seed: number): readonly RawLine[] {
  const random = mulberry32(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)] as T;
  const member = (key: string) => `${pick(["", " ", "\t"])}"${key}":${pick(["", " "])}${pick(VALUES)}`;
  const generated = Array.from({ length: GENERATED_LINES }, () => {
    const inner = `"data":{${[member("type"), member("data")].join(",")}}`;
    const members = [
      pick(['"event":"session"', '"event": "session"', member("event")]),
      pick(['"session_id":"%"', member("session_id")]),
      pick([inner, inner, member("data")]),
      ...(random() < 0.3 ? [member(pick(["event", "session_id", "data"]))] : []),
    ];
    if (random() < 0.5) members.sort(() => random() - 0.5);
    const whole = `{${members.join(",")}}`;
    return random() < 0.3 ? whole.slice(0, Math.floor(random() * whole.length)) : whole;
  });
  const all = [...TEXTS, ...LARGE, ...generated].sort(() => random() - 0.5);
  return all.map((text) => (id) => Buffer.from(`${text.replaceAll("%", id)}\n`, "latin1"));
}

/** A small generator of its own: `Math.random` takes no seed. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
