import { expect, test } from "vitest";
import { readFrames } from "./answer-frames.ts";

function frame(payload: string | Buffer, change: (header: Buffer) => void = () => undefined): Buffer {
  const header = Buffer.alloc(14);
  header[0] = 0x0f;
  header.writeUInt16LE(10, 2);
  header.writeUInt32LE(payload.length, 4);
  change(header);
  return Buffer.concat([header, Buffer.from(payload)]);
}

async function* inPieces(bytes: Buffer, size: number) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

async function read(bytes: Buffer, size = bytes.length, bytesMax = 1000): Promise<string[]> {
  const frames: string[] = [];
  for await (const payload of readFrames(inPieces(bytes, Math.max(1, size)), { bytesMax }))
    frames.push(payload.toString());
  return frames;
}

test("frames are read whole, however their bytes arrive", async () => {
  const payloads = ["{}", "", "x".repeat(1000), "é{}"];
  const bytes = Buffer.concat(payloads.map((payload) => frame(Buffer.from(payload))));
  for (const size of [1, 2, 13, 14, 15, 500, bytes.length]) expect(await read(bytes, size)).toEqual(payloads);
});

test("an answer may have no frames", async () => {
  expect(await read(Buffer.alloc(0))).toEqual([]);
});

test("reserved bytes may hold anything", async () => {
  const reserved = frame("{}", (header) => {
    header[1] = 0xff;
    header.fill(0xee, 8);
  });
  expect(await read(reserved)).toEqual(["{}"]);
});

test.each<[string, Buffer, string]>([
  ["a page", Buffer.from("<html>"), "frame 1 begins with the byte 0x3c; accepted: 0x0f"],
  [
    "a wrong byte after a frame",
    Buffer.concat([frame("{}"), Buffer.from("{")]),
    "frame 2 begins with the byte 0x7b; accepted: 0x0f",
  ],
  [
    "another length of the header",
    frame("{}", (header) => header.writeUInt16LE(11, 2)),
    "frame 1 has a header of the length 11; accepted: 10",
  ],
  ["a frame over the limit", frame("x".repeat(1001)), "frame 1 has 1001 bytes; accepted: at most 1000"],
  [
    "a length of 4 GiB",
    frame("", (header) => header.writeUInt32LE(0xffffffff, 4)),
    "frame 1 has 4294967295 bytes; accepted: at most 1000",
  ],
  ["a cut payload", frame("12345").subarray(0, 16), "frame 1 is cut after 2 of 5 bytes"],
  [
    "a cut header",
    Buffer.concat([frame("{}"), frame("").subarray(0, 3)]),
    "frame 2 is cut after 3 of the 14 bytes of its header",
  ],
])("%s is refused", async (_name, bytes, message) => {
  for (const size of [1, bytes.length]) await expect(read(bytes, size)).rejects.toThrow(message);
});

test("nothing is read ahead of what is asked for", async () => {
  let asked = 0;
  async function* source() {
    for (;;) {
      asked++;
      yield frame("{}");
    }
  }
  const frames = readFrames(source(), { bytesMax: 10 });
  await frames.next();
  await frames.next();
  expect(asked).toBe(2);
  await frames.return(undefined);
});
