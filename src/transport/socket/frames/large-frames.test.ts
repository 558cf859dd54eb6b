import { Worker } from "node:worker_threads";
import { afterEach, expect, test, vi } from "vitest";
import { LargeFrames, type LargeFramesOptions } from "./large-frames.ts";

afterEach(() => {
  vi.useRealTimers();
});

function large(options: Partial<LargeFramesOptions> = {}): LargeFrames {
  const periods = { waitMs: 60_000, holdMs: 60_000, readMs: 60_000, idleMs: 60_000 };
  return new LargeFrames({ budgetBytes: 10, ownerBytesMax: 10, ...periods, ...options });
}

const lineOf = (data: string) => {
  const text = `{"event":"session","session_id":"a","data":{"type":"stream","data":${data}}}\n`;
  const line = Buffer.allocUnsafeSlow(Buffer.byteLength(text));
  line.write(text);
  return line;
};

const item = (text: string) => ({ sessionId: "a", frame: { type: "stream", data: { text } } });

test("frames beyond the budget wait, in order, until room is released", async () => {
  await using frames = large();
  const first = await frames.reserve("a", 6);
  const second = frames.reserve("b", 6);
  const third = frames.reserve("c", 1);
  expect([second, third].every((room) => room instanceof Promise)).toBe(true);
  first?.release();
  first?.release();
  for (const room of [await second, await third]) room?.release();
  expect(frames.heldBytes).toBe(0);
});

test("an owner over its share waits behind all others, and gets what they leave", async () => {
  await using frames = large({ ownerBytesMax: 4 });
  const own = [await frames.reserve("a", 5), await frames.reserve("a", 5)];
  const order: string[] = [];
  const waiting = ["a", "b", "a", "c"].map(async (owner) => {
    const room = await frames.reserve(owner, 5);
    order.push(owner);
    return room;
  });
  own[0]?.release();
  (await waiting[1])?.release();
  (await waiting[3])?.release();
  (await waiting[0])?.release();
  (await waiting[2])?.release();
  own[1]?.release();
  expect(order).toEqual(["b", "c", "a", "a"]);
  expect(frames.heldBytes).toBe(0);
});

test("a frame larger than the budget passes when it is alone", async () => {
  await using frames = large();
  expect(frames.reserve("a", 50)).not.toBeInstanceOf(Promise);
});

test("a frame that finds no room in time is refused and lets the next one through", async () => {
  vi.useFakeTimers();
  await using frames = large({ waitMs: 1_000 });
  await frames.reserve("a", 6);
  const tooLarge = frames.reserve("b", 8);
  vi.advanceTimersByTime(500);
  const small = frames.reserve("c", 4);
  vi.advanceTimersByTime(500);
  expect(await tooLarge).toBeUndefined();
  expect(await small).toBeDefined();
});

test("room that nobody releases is released after a time", async () => {
  vi.useFakeTimers();
  await using frames = large({ holdMs: 1_000 });
  const room = await frames.reserve("a", 10);
  const next = frames.reserve("b", 10);
  vi.advanceTimersByTime(1_000);
  expect(await next).toBeDefined();
  room?.release();
  expect(frames.heldBytes).toBe(10);
});

test("the thread reads a frame, and reports what is wrong with a line that is not a frame", async () => {
  await using frames = large();
  expect(await frames.read(lineOf('{"é":1.0}'))).toMatchObject(item('{"é":1.0}'));
  expect(await frames.read(lineOf("{x"))).toMatchObject({ sessionId: "a", frame: undefined });
});

test("data 600,000 levels deep ends its own call, and the thread continues", async () => {
  await using frames = large();
  const deep = frames.read(lineOf("[".repeat(600_000)));
  const good = frames.read(lineOf("1"));
  expect(await deep).toMatchObject({ breach: { found: expect.stringMatching(/^nested more than/) } });
  expect(await good).toMatchObject(item("1"));
});

/** Dies, falls silent, or answers what cannot be cloned, as the line asks. */
const MORTAL = `
  const { parentPort } = require("node:worker_threads");
  parentPort.on("message", (line) => {
    const text = Buffer.from(line).toString();
    if (text.includes("die")) process.exit(1);
    if (text.includes("throw")) throw new Error("out of memory");
    if (!text.includes("silent")) parentPort.postMessage({ line: { sessionId: "a", frame: { type: "end" } } });
  });
`;

test.each(["die", "throw"])("a thread that a frame crashes (%s) fails no other frame", async (how) => {
  await using frames = large({ startWorker: () => new Worker(MORTAL, { eval: true }) });
  const reads = [how, "good", "good"].map((data) => frames.read(lineOf(`"${data}"`)));
  const outcomes = await Promise.allSettled(reads);
  expect(outcomes.map(({ status }) => status)).toEqual(["rejected", "fulfilled", "fulfilled"]);
});

test("a thread that stops answering is replaced after a time", async () => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  await using frames = large({ startWorker: () => new Worker(MORTAL, { eval: true }) });
  const lost = frames.read(lineOf('"silent"'));
  const good = frames.read(lineOf('"good"'));
  vi.advanceTimersByTime(60_000);
  await expect(lost).rejects.toThrow("ended");
  expect(await good).toMatchObject({ frame: { type: "end" } });
});

test("an answer that cannot be deserialized counts as the death of the thread", async () => {
  let worker: Worker | undefined;
  const startWorker = () => {
    worker = new Worker(MORTAL, { eval: true });
    return worker;
  };
  await using frames = large({ startWorker });
  const lost = frames.read(lineOf('"silent"'));
  const good = frames.read(lineOf('"good"'));
  worker?.emit("messageerror", new Error("too deep to be cloned"));
  await expect(lost).rejects.toThrow("ended");
  expect(await good).toMatchObject({ frame: { type: "end" } });
});

test("a thread without work is ended, and the next frame gets a new one", async () => {
  let started = 0;
  const startWorker = () => {
    started++;
    return new Worker(MORTAL, { eval: true });
  };
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  await using frames = large({ startWorker });
  await frames.read(lineOf("1"));
  await frames.read(lineOf("1"));
  expect(started).toBe(1);
  vi.advanceTimersByTime(60_000);
  await frames.read(lineOf("1"));
  expect(started).toBe(2);
});

test("an item comes back as its bytes and as their text", async () => {
  await using frames = large();
  const { frame } = await frames.read(lineOf('"é\u{1f6a2}"'));
  if (frame?.type !== "stream") throw new Error(`no item: ${JSON.stringify(frame)}`);
  expect(frame.data).toMatchObject({ text: '"é\u{1f6a2}"', nodes: 0 });
  expect(Buffer.from(frame.data.utf8 ?? []).toString()).toBe('"é\u{1f6a2}"');
});
