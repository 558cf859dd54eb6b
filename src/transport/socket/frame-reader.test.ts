import fc from "fast-check";
import { expect, test } from "vitest";
import { FrameReader, type FrameReaderOptions } from "./frame-reader.ts";

function reading(overrides: Partial<FrameReaderOptions> = {}) {
  const seen: string[] = [];
  const broken: string[] = [];
  const pauses: boolean[] = [];
  const reader = new FrameReader({
    lineBytesMax: 64,
    onLine: (text, bytes) => seen.push(`${bytes}:${text}`),
    onAnnounced: () => true,
    onFrame: (announcement, line) => seen.push(`${announcement.bytes}!${line.toString("utf8").trimEnd()}`),
    onPause: (paused) => pauses.push(paused),
    onBroken: (reason) => broken.push(reason),
    ...overrides,
  });
  return { reader, seen, broken, pauses };
}

function announced(line: string): string {
  const bytes = Buffer.byteLength(line) + 1;
  return `{"berth":"frame","session_id":"a","bytes":${bytes}}\n${line}\n`;
}

/** Cuts the bytes at the given places, whatever they mean. */
function pieces(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length];
  return places.slice(1).map((end, index) => bytes.subarray(places[index], end));
}

const line = fc
  .string({ unit: "grapheme", maxLength: 12 })
  .filter((text) => !/[\n]/.test(text) && text !== "");

test("lines and announced frames come out whole and in order, wherever the bytes are cut", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(line, fc.boolean()), { maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 20 }),
      (lines, cuts) => {
        const { reader, seen, broken } = reading({ lineBytesMax: 4096 });
        const wire = lines.map(([text, large]) => (large ? announced(text) : `${text}\n\n`)).join("");
        for (const piece of pieces(Buffer.from(wire), cuts)) reader.push(piece);
        const expected = lines.map(
          ([text, large]) =>
            `${Buffer.byteLength(text) + 1}${large ? "!" : ":"}${large ? text.trimEnd() : text}`,
        );
        expect(seen).toEqual(expected);
        expect(broken).toEqual([]);
      },
    ),
  );
});

test("while room for a frame is awaited nothing is read, and what came meanwhile follows in order", async () => {
  const room = Promise.withResolvers<boolean>();
  const { reader, seen, pauses } = reading({ onAnnounced: () => room.promise });
  reader.push(Buffer.from(`before\n${announced("large")}after\n`));
  reader.push(Buffer.from("last\n"));
  expect(seen).toEqual(["7:before"]);
  expect(pauses).toEqual([true]);
  room.resolve(true);
  await room.promise;
  await Promise.resolve();
  expect(seen).toEqual(["7:before", "6!large", "6:after", "5:last"]);
  expect(pauses).toEqual([true, false]);
});

test("a frame without room is thrown away and the next line is read", () => {
  const { reader, seen } = reading({ onAnnounced: () => false });
  reader.push(Buffer.from(`${announced("large")}after\n`));
  expect(seen).toEqual(["6:after"]);
});

test("an unannounced line over the limit breaks the connection, and no more than the limit is kept", () => {
  const { reader, seen, broken } = reading();
  reader.push(Buffer.from("x".repeat(40)));
  expect(broken).toEqual([]);
  reader.push(Buffer.from("x".repeat(40)));
  reader.push(Buffer.from("\nmore\n"));
  expect(broken).toHaveLength(1);
  expect(seen).toEqual([]);
});
