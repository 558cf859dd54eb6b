import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { ControlMessage } from "./control-message.ts";
import { ControlReader } from "./control-reader.ts";

const PER_SECOND = 1_000;
const NOTICE = '{"op":"notice","kind":"line_too_large"}\n';
const EXIT = '{"op":"exit","exit_code":3,"signal":null,"oom":false}\n';
const LOST = '{"op":"frame_too_large","session_id":"s1","bytes":9}\n';

let taken: ControlMessage[];
let delays: number;
let socket: PassThrough;

beforeEach(() => {
  vi.useFakeTimers();
  [taken, delays, socket] = [[], 0, new PassThrough()];
  const reader = new ControlReader({
    onMessage: (message) => void taken.push(message),
    onBroken: () => socket.destroy(),
    onRefused: () => undefined,
    onDelayed: () => {
      delays += 1;
    },
  });
  reader.read(socket as unknown as Socket);
});
afterEach(() => vi.useRealTimers());

/** Of what comes behind the notices. */
const others = () => taken.filter(({ op }) => op !== "notice");

async function write(text: string): Promise<void> {
  socket.write(text);
  await vi.advanceTimersByTimeAsync(0);
}

it("delivers every message, however many come before it, at a thousand a second", async () => {
  await write(NOTICE.repeat(2 * PER_SECOND + 1) + LOST + EXIT);
  expect(taken).toHaveLength(PER_SECOND);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(taken).toHaveLength(2 * PER_SECOND);
  expect(others()).toEqual([]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(others()).toMatchObject([{ op: "frame_too_large" }, { op: "exit", exit_code: 3 }]);
  expect(delays).toBe(2);
});

it("reads nothing while messages wait, so that a flooding runner has to wait, and continues afterwards", async () => {
  await write(NOTICE.repeat(PER_SECOND + 1));
  expect(socket.isPaused()).toBe(true);
  await write(EXIT);
  expect(taken).toHaveLength(PER_SECOND);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket.isPaused()).toBe(false);
  expect(others()).toMatchObject([{ op: "exit" }]);
  await write(LOST);
  expect(others()).toHaveLength(2);
});

it("delivers what waits at once when the connection is lost", async () => {
  await write(NOTICE.repeat(PER_SECOND) + EXIT);
  socket.destroy();
  await vi.advanceTimersByTimeAsync(0);
  expect(others()).toMatchObject([{ op: "exit" }]);
});
