import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { demultiplex, readNdjson } from "./framing.ts";

function frame(type: number, data: Uint8Array): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt8(type, 0);
  header.writeUInt32BE(data.length, 4);
  return Buffer.concat([header, data]);
}

/** The bytes in chunks of the given sizes, over and over. */
async function* chunked(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  for (let from = 0, turn = 0; from < bytes.length; turn += 1) {
    const size = sizes[turn % sizes.length] ?? 1;
    yield bytes.subarray(from, from + size);
    from += size;
  }
}

const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 10 });
const caps = { frameBytesMax: 1_000 };

describe("demultiplex", () => {
  test("every frame comes out complete and in order, however the bytes were cut", async () => {
    const frames = fc.array(fc.tuple(fc.constantFrom(1, 2), fc.uint8Array({ maxLength: 60 })), {
      maxLength: 40,
    });
    await fc.assert(
      fc.asyncProperty(frames, sizes, async (sent, cuts) => {
        const bytes = Buffer.concat(sent.map(([type, data]) => frame(type, data)));
        const received = await Array.fromAsync(demultiplex(chunked(bytes, cuts), caps));
        expect(received.map(({ stream, data }) => [stream, data.toString("hex")])).toEqual(
          sent.map(([type, data]) => [type === 1 ? "stdout" : "stderr", Buffer.from(data).toString("hex")]),
        );
      }),
    );
  });

  test("100,000 frames in one chunk need no stack", async () => {
    const one = frame(1, Buffer.from("x"));
    const bytes = Buffer.concat(Array.from({ length: 100_000 }, () => one));
    expect(await Array.fromAsync(demultiplex(chunked(bytes, [bytes.length]), caps))).toHaveLength(100_000);
  });

  test("the source is read only as fast as frames are taken, and closed when the reader leaves", async () => {
    let given = 0;
    let closed = false;
    async function* source(): AsyncGenerator<Buffer> {
      try {
        while (true) {
          given += 1;
          yield frame(1, Buffer.from("x"));
        }
      } finally {
        closed = true;
      }
    }
    let taken = 0;
    for await (const _frame of demultiplex(source(), caps)) {
      taken += 1;
      expect(given).toBe(taken);
      if (taken === 5) break;
    }
    expect(closed).toBe(true);
  });

  test("the engine's own error, an unknown type and a frame over the cap are engine_refused", async () => {
    for (const bytes of [
      frame(3, Buffer.from("no space")),
      frame(7, Buffer.from("x")),
      frame(1, Buffer.alloc(1_001)),
    ]) {
      const read = Array.fromAsync(demultiplex(chunked(bytes, [16]), caps));
      await expect(read).rejects.toMatchObject({ code: "engine_refused" });
    }
  });

  test("an end inside a frame is engine_unavailable", async () => {
    const bytes = frame(1, Buffer.from("hello"));
    for (const length of [3, 8, 10]) {
      const read = Array.fromAsync(demultiplex(chunked(bytes.subarray(0, length), [4]), caps));
      await expect(read).rejects.toMatchObject({ code: "engine_unavailable" });
    }
  });
});

describe("readNdjson", () => {
  test("every value comes out in order, however the bytes were cut, even if the last line has no line end", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.jsonValue(), { maxLength: 20 }), sizes, async (sent, cuts) => {
        const lines = sent.map((value) => JSON.stringify(value));
        const bytes = Buffer.from(lines.join("\r\n"));
        const received = await Array.fromAsync(readNdjson(chunked(bytes, cuts), { lineBytesMax: 100_000 }));
        expect(received.map((value) => JSON.stringify(value))).toEqual(
          lines.map((line) => JSON.stringify(JSON.parse(line))),
        );
      }),
    );
  });

  test("a line that is not JSON and a line over the cap are engine_refused", async () => {
    for (const text of ['{"a":1}\nnot json\n', `"${"x".repeat(200)}"\n`]) {
      const read = Array.fromAsync(readNdjson(chunked(Buffer.from(text), [7]), { lineBytesMax: 100 }));
      await expect(read).rejects.toMatchObject({ code: "engine_refused" });
    }
  });
});
