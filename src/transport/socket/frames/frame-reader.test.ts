import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { Turn } from "../turn.ts";
import { FrameReader, type FrameReaderOptions } from "./frame-reader.ts";

function reading(overrides: Partial<FrameReaderOptions> = {}) {
  const seen: string[] = [];
  const broken: string[] = [];
  const pauses: boolean[] = [];
  const thrown: unknown[] = [];
  const reader = new FrameReader({
    lineBytesMax: 64,
    onLine: (line) => seen.push(`${line.length + 1}:${line.toString("utf8")}`),
    onAnnounced: () => true,
    onFrame: (announcement, line) => seen.push(`${announcement.bytes}!${line.toString("utf8").trimEnd()}`),
    onPause: (paused) => pauses.push(paused),
    onBroken: (reason) => broken.push(reason),
    onThrow: (error) => thrown.push(error),
    turn: { isOver: () => false },
    ...overrides,
  });
  return { reader, seen, broken, pauses, thrown };
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

test("lines and announced frames come out complete and in order, wherever the bytes are cut", () => {
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

test("nothing is read while a frame waits for room, and what arrived in the meantime follows in order", async () => {
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

test("a frame without room is discarded and the next line is read", () => {
  const { reader, seen } = reading({ onAnnounced: () => false });
  reader.push(Buffer.from(`${announced("large")}after\n`));
  expect(seen).toEqual(["6:after"]);
});

test("an unannounced line over the limit breaks the connection, and no more than the limit is held", () => {
  const { reader, seen, broken } = reading();
  reader.push(Buffer.from("x".repeat(40)));
  expect(broken).toEqual([]);
  reader.push(Buffer.from("x".repeat(40)));
  reader.push(Buffer.from("\nmore\n"));
  expect(broken).toHaveLength(1);
  expect(seen).toEqual([]);
});

test("frames that wait for room one after the other each end their own pause", async () => {
  const { reader, seen, pauses } = reading({ onAnnounced: () => Promise.resolve(true) });
  reader.push(Buffer.from(`${announced("one")}${announced("two")}`));
  reader.push(Buffer.from(`${announced("three")}last\n`));
  await expect.poll(() => seen).toEqual(["4!one", "4!two", "6!three", "5:last"]);
  expect(pauses.filter((paused) => paused)).toHaveLength(3);
  expect(pauses.filter((paused) => !paused)).toHaveLength(3);
});

test("an exception after a wait is reported, and not lost", async () => {
  const failure = new Error("no");
  const { reader, thrown } = reading({
    onAnnounced: () => Promise.resolve(true),
    onFrame: () => {
      throw failure;
    },
  });
  reader.push(Buffer.from(announced("one")));
  await expect.poll(() => thrown).toEqual([failure]);
});

describe("a link has a limited time in each turn of the event loop", () => {
  const nextTurn = () => new Promise((resolve) => setImmediate(resolve));

  test("what is left when the time is over follows in the next turn, in order", async () => {
    const ends = [false, true, false, true];
    const { reader, seen, pauses } = reading({ turn: { isOver: () => ends.shift() ?? false } });
    reader.push(Buffer.from("one\ntwo\nthree\nfo"));
    reader.push(Buffer.from("ur\nfive\n"));
    expect(seen).toEqual(["4:one", "4:two"]);
    expect(pauses).toEqual([true]);
    await nextTurn();
    expect(seen).toEqual(["4:one", "4:two", "6:three"]);
    await nextTurn();
    expect(seen).toEqual(["4:one", "4:two", "6:three", "5:four", "5:five"]);
    expect(pauses).toEqual([true, true, false, false]);
  });

  test("the callback for everything read comes after the last line, and at once if nothing waits", async () => {
    const ends = [false, true];
    const { reader, seen } = reading({ turn: { isOver: () => ends.shift() ?? false } });
    const tell = () => reader.whenRead(() => seen.push("all read"));
    reader.push(Buffer.from("one\n"));
    tell();
    reader.push(Buffer.from("two\nthree\n"));
    tell();
    expect(seen).toEqual(["4:one", "all read", "4:two"]);
    await nextTurn();
    expect(seen).toEqual(["4:one", "all read", "4:two", "6:three", "all read"]);
  });

  test("an exception in a later turn is reported, and not lost", async () => {
    const failure = new Error("no");
    const { reader, thrown } = reading({
      turn: { isOver: () => true },
      onLine: (line) => {
        if (line.toString() === "two") throw failure;
      },
    });
    reader.push(Buffer.from("one\ntwo\n"));
    await nextTurn();
    expect(thrown).toEqual([failure]);
  });

  test("the time is over after its limit, and starts again in the next turn", async () => {
    vi.spyOn(performance, "now").mockReturnValueOnce(10).mockReturnValueOnce(11.9).mockReturnValueOnce(12);
    const turn = new Turn(2);
    expect([turn.isOver(), turn.isOver(), turn.isOver()]).toEqual([false, false, true]);
    vi.restoreAllMocks();
    await nextTurn();
    expect(turn.isOver()).toBe(false);
  });
});
