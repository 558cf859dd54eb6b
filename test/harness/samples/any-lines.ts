/** Lines that no SDK writes: every JSON type in every place, and text that is no JSON. */
import fc from "fast-check";

/** Which of the open sessions a line speaks of; beyond them, one that nobody opened. */
export interface AnyLine {
  readonly about: number;
  /** Whose the runner takes it to be, where that differs. */
  readonly announcedFor: number;
  /** `SESSION` stands for the id that it speaks of. */
  readonly text: string;
  /** A byte that belongs to no text is put in here. */
  readonly brokenAt: number | undefined;
  /** Padded, so that it goes the way of large frames. */
  readonly isLarge: boolean;
}

export const SESSION = "SESSION";

const deep = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;

const value = fc.oneof(
  { weight: 4, arbitrary: fc.json({ maxDepth: 3 }) },
  fc.constantFrom(
    ...["null", "true", "0", "-0", "1.0", "9007199254740993", "1e999", "NaN", "01", "9".repeat(400)],
    ...[
      '""',
      '"\\ud83d"',
      '"\\u0000"',
      '"\u2028"',
      "{}",
      "[]",
      '{"toString":1,"valueOf":1}',
      '{"__proto__":{}}',
    ],
    ...[
      deep(10),
      deep(511),
      deep(513),
      deep(8000),
      `[${"[],".repeat(2000)}1]`,
      `{${'"a":1,'.repeat(500)}"a":2}`,
    ],
  ),
);

const text = fc.constantFrom('"m"', '"\\ud83d"', '"\\u0000"', '""');
const usually = (arbitrary: fc.Arbitrary<string>) =>
  fc.oneof({ weight: 3, arbitrary }, { weight: 1, arbitrary: value });

/** An object of these members, some of them left out, one of them perhaps twice. */
function object(members: Record<string, fc.Arbitrary<string>>): fc.Arbitrary<string> {
  const names = Object.keys(members);
  const all = fc.record(members, { requiredKeys: [] });
  return fc.tuple(all, fc.option(fc.constantFrom(...names)), value).map(([given, twice, again]) => {
    const written = Object.entries(given).map(([name, inner]) => `"${name}":${inner}`);
    return `{${[...written, ...(twice === null ? [] : [`"${twice}":${again}`])].join(",")}}`;
  });
}

const message = object({
  type: usually(fc.constantFrom('"text"', '"json"', '"blob_chunk"')),
  message: value,
  status: usually(fc.constantFrom("200", "204", "99999")),
  headers: value,
  result: usually(fc.constantFrom('"00ff"', '"zz"')),
});
const error = object({ error_type: usually(text), message: usually(text), args: value });
const request = object({
  opt: usually(fc.constantFrom('"set"', '"get"', '"del"', '"exist"')),
  key: usually(fc.constantFrom('"k"', '"../x"', '"a/b"', '"\\u0000"')),
  value: usually(fc.constantFrom('"00"', '"0"')),
  provider: usually(fc.constantFrom('"echo"', '"berth/echo/echo"')),
  tool: usually(fc.constant('"say"')),
});
const call = object({
  backwards_request_id: usually(fc.constantFrom('"1"', '"2"')),
  type: usually(fc.constantFrom('"storage"', '"tool"', '"llm"', '"app"', '"toString"', '"__proto__"')),
  request: usually(request),
});

const inner = fc.oneof(
  object({ type: usually(fc.constant('"stream"')), data: fc.oneof(message, value) }),
  object({ type: usually(fc.constant('"error"')), data: fc.oneof(error, value) }),
  object({ type: usually(fc.constant('"invoke"')), data: fc.oneof(call, value) }),
  object({ type: usually(fc.constant('"end"')), data: value }),
);

const line = fc.oneof(
  {
    weight: 6,
    arbitrary: inner.map((data) => `{"event":"session","session_id":"${SESSION}","data":${data}}`),
  },
  object({
    event: usually(fc.constant('"session"')),
    session_id: usually(fc.constant(`"${SESSION}"`)),
    data: fc.oneof(inner, value),
  }),
  fc.string(),
);

export const anyLines: fc.Arbitrary<AnyLine[]> = fc.array(
  fc.record({
    about: fc.nat(5),
    announcedFor: fc.nat(5),
    text: fc
      .tuple(line, fc.option(fc.nat(200), { freq: 8 }))
      .map(([whole, end]) => (end === null ? whole : whole.slice(0, end)).replaceAll("\n", " ")),
    brokenAt: fc.option(fc.nat(100), { freq: 12, nil: undefined }),
    isLarge: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
  }),
  { minLength: 1, maxLength: 12 },
);
