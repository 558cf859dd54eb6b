import { expect, test } from "vitest";
import { CHUNKS } from "./chunks.ts";

const LARGEST_PIECE = 8192;
const LARGEST_FILE = 15 * 1024 * 1024;

const piece = (
  id: string,
  bytes: Buffer | string,
  { end = false, total = 5 }: { end?: boolean; total?: number } = {},
) => ({
  type: "blob_chunk",
  message: { id, sequence: 0, total_length: total, blob: Buffer.from(bytes).toString("base64"), end },
  meta: { mime_type: end ? "image/png" : "first" },
});

const refusal = (why: string) =>
  expect.objectContaining({
    code: "plugin_error",
    details: { error_type: "unmarshal_error", message: expect.stringContaining(why) },
  });

test("improved 4: pieces of a file become one blob, and the bytes of the last piece are in it", () => {
  const reader = CHUNKS.agent_message.open();
  expect(reader.read(piece("a", "one "))).toBeUndefined();
  expect(reader.read(piece("b", "other"))).toBeUndefined();
  expect(reader.read(piece("a", "two", { end: true }))).toEqual({
    type: "blob",
    message: { blob: Buffer.from("one two").toString("base64") },
    meta: { mime_type: "image/png" },
  });
  expect(reader.read(piece("b", "", { end: true }))).toMatchObject({
    message: { blob: Buffer.from("other").toString("base64") },
  });
});

test("improved 4: a file with the same id in another stream is another file", () => {
  CHUNKS.agent_message.open().read(piece("a", "one"));
  expect(CHUNKS.agent_message.open().read(piece("a", "two", { end: true }))).toMatchObject({
    message: { blob: Buffer.from("two").toString("base64") },
  });
});

test("messages of an agent strategy that are not pieces pass at once, even between pieces", () => {
  const reader = CHUNKS.agent_message.open();
  reader.read(piece("a", "one"));
  const text = { type: "text", message: { text: "x" }, meta: null };
  expect(reader.read(text)).toEqual(text);
});

test("pieces of a tool's file pass as they are: the platform puts them together", () => {
  const one = piece("a", "one");
  expect(CHUNKS.message.open().read(one)).toEqual(one);
});

test.each([
  [
    "a piece of more than 8192 bytes",
    piece("a", Buffer.alloc(LARGEST_PIECE + 1)),
    "single file chunk is too large",
  ],
  ["no base64", { ...piece("a", ""), message: { id: "a", blob: "*", end: false } }, "base64"],
  ["no id", { ...piece("a", ""), message: { blob: "", end: true } }, "id"],
  ["an end that is a text", { ...piece("a", ""), message: { id: "a", blob: "", end: "yes" } }, "end"],
])("improved 4: %s is refused with JSON inside, not left out silently", (_name, chunk, why) => {
  expect(() => CHUNKS.agent_message.open().read(chunk)).toThrow(refusal(why));
});

test("improved 4: a file of more than 15 MiB is refused, whatever size it claimed", () => {
  const reader = CHUNKS.agent_message.open();
  const full = piece("a", Buffer.alloc(LARGEST_PIECE), { total: 1 });
  for (let bytes = 0; bytes < LARGEST_FILE; bytes += LARGEST_PIECE) reader.read(full);
  expect(() => reader.read(piece("a", "x"))).toThrow(refusal("file is too large"));
});

test("improved 7: the size that a file claims takes no memory", () => {
  const before = process.memoryUsage().arrayBuffers;
  const reader = CHUNKS.agent_message.open();
  reader.read(piece("a", "x", { total: 2 ** 40 }));
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(LARGEST_FILE);
});

test("the number of files that begin and never end is bounded", () => {
  const reader = CHUNKS.agent_message.open();
  const begin = () => {
    for (let file = 0; file <= 64; file += 1) reader.read(piece(String(file), ""));
  };
  expect(begin).toThrow(refusal("too many files"));
});

test("maps from the plugin keep the order of their keys", () => {
  const message = { z: 1, a: { y: 2, b: 3 } };
  expect(JSON.stringify(CHUNKS.message.open().read({ meta: null, message, type: "json", own: 1 }))).toBe(
    JSON.stringify({ type: "json", message, meta: null }),
  );
});

const SURFACE = {
  protocol: "a2ui",
  protocol_version: "v0.9.1",
  messages: [{ version: "v0.9.1", createSurface: { surfaceId: "s", catalogId: "c" } }],
  fallback: "a form",
};

test.each(["message", "agent_message"] as const)("a %s of type ui passes like any other message", (kind) => {
  const unknown: string[] = [];
  const reader = CHUNKS[kind].open((type) => unknown.push(type));
  expect(reader.read({ type: "ui", message: SURFACE })).toEqual({ type: "ui", message: SURFACE, meta: null });
  expect(unknown).toEqual([]);
});

test.each(["message", "agent_message"] as const)(
  "a %s of an unknown type passes unchanged and is reported",
  (kind) => {
    const unknown: string[] = [];
    const reader = CHUNKS[kind].open((type) => unknown.push(type));
    const newer = { meta: { a: 1 }, type: "hologram", message: ["depth", 3], more: null };
    expect(JSON.stringify(reader.read(newer))).toBe(JSON.stringify(newer));
    expect(unknown).toEqual(["hologram"]);
  },
);

test.each([{ message: {} }, { type: "", message: {} }, { type: 5, message: {} }, { type: null }])(
  "a message without a type is refused: %j",
  (chunk) => {
    expect(() => CHUNKS.message.open().read(chunk)).toThrow(refusal("ype"));
  },
);
