import { getEventListeners } from "node:events";
import { expect, test } from "vitest";
import { waitFor, waitOrAbort } from "./wait.ts";

const never = new AbortController().signal;

test("a wait ends as the work does, and leaves no listener at the signal", async () => {
  const { signal } = new AbortController();
  expect(await waitOrAbort(Promise.resolve(1), signal)).toBe(1);
  await expect(waitOrAbort(Promise.reject(new Error("no")), signal)).rejects.toThrow("no");
  expect(getEventListeners(signal, "abort")).toHaveLength(0);
});

test("an abort ends the wait with the signal's reason, and a later failure of the work is nobody's", async () => {
  const stop = new AbortController();
  const work = Promise.withResolvers<void>();
  const wait = waitOrAbort(work.promise, stop.signal);
  stop.abort(new Error("enough"));
  await expect(wait).rejects.toThrow("enough");
  expect(getEventListeners(stop.signal, "abort")).toHaveLength(0);
  work.reject(new Error("late"));
});

test("a signal that has aborted already wins over work that is done, whose failure is nobody's", async () => {
  const aborted = AbortSignal.abort(new Error("before"));
  await expect(waitOrAbort(Promise.resolve(1), aborted)).rejects.toThrow("before");
  await expect(waitOrAbort(Promise.reject(new Error("late")), aborted)).rejects.toThrow("before");
});

function aValue() {
  const listeners = new Set<() => void>();
  const now: { value: number | undefined } = { value: undefined };
  return {
    listeners,
    set(value: number) {
      now.value = value;
      for (const listener of [...listeners]) listener();
    },
    look: () => now.value,
    subscribe(listener: () => void) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };
}

test("what is there already is found without a call of the listener", async () => {
  const value = aValue();
  value.set(1);
  expect(await waitFor(value, never)).toBe(1);
  expect(value.listeners.size).toBe(0);
});

test("what comes later is found at the listener's call", async () => {
  const value = aValue();
  const found = waitFor(value, never);
  expect(value.listeners.size).toBe(1);
  value.set(2);
  expect(await found).toBe(2);
  expect(value.listeners.size).toBe(0);
});

test("an abort, or a look that throws, ends the subscription", async () => {
  const value = aValue();
  const stop = new AbortController();
  const aborted = waitFor(value, stop.signal);
  stop.abort(new Error("enough"));
  await expect(aborted).rejects.toThrow("enough");
  expect(value.listeners.size).toBe(0);
  const look = () => {
    throw new Error("broken");
  };
  await expect(waitFor({ ...value, look }, never)).rejects.toThrow("broken");
  expect(value.listeners.size).toBe(0);
  await expect(waitFor(value, AbortSignal.abort(new Error("before")))).rejects.toThrow("before");
});
