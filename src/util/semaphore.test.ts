import { expect, test, vi } from "vitest";
import { Semaphore } from "./semaphore.ts";

const never = new AbortController().signal;

test("a semaphore runs no more than its size at once, and starts the waiting work in the order of the calls", async () => {
  const semaphore = new Semaphore(2);
  const gates = [0, 1, 2, 3].map(() => Promise.withResolvers<void>());
  const started: number[] = [];
  const runs = gates.map((gate, index) =>
    semaphore.run(() => {
      started.push(index);
      return gate.promise;
    }, never),
  );
  await Promise.resolve();
  expect(started).toEqual([0, 1]);
  expect(semaphore.waiting).toBe(2);
  gates[1]?.resolve();
  await vi.waitFor(() => expect(started).toEqual([0, 1, 2]));
  for (const gate of gates) gate.resolve();
  await Promise.all(runs);
  expect(started).toEqual([0, 1, 2, 3]);
});

test("an aborted wait leaves the queue with the signal's reason and takes nobody's place", async () => {
  const semaphore = new Semaphore(1);
  const gate = Promise.withResolvers<void>();
  const first = semaphore.run(() => gate.promise, never);
  const stop = new AbortController();
  const second = semaphore.run(async () => "ran", stop.signal);
  const third = semaphore.run(async () => "third", never);
  stop.abort(new Error("enough"));
  await expect(second).rejects.toThrow("enough");
  gate.resolve();
  await first;
  expect(await third).toBe("third");
});

test("work that throws releases its place", async () => {
  const semaphore = new Semaphore(1);
  await expect(semaphore.run(() => Promise.reject(new Error("no")), never)).rejects.toThrow("no");
  expect(await semaphore.run(async () => 1, never)).toBe(1);
});
