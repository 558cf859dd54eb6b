import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { holdLock, leaveServing, serveUnit, type Unit } from "./serving.ts";

const unit = (name: string): Unit => ({ kind: "task", fields: { name }, end: () => undefined });

test("everything that a unit starts belongs to it, even later, and to no other unit", async () => {
  const seen = Promise.withResolvers<unknown>();
  serveUnit(unit("a"), () => setImmediate(() => seen.resolve(leaveServing().unit?.fields)));
  await serveUnit(unit("b"), () => turn());
  expect(await seen.promise).toEqual({ name: "a" });
  expect(leaveServing()).toEqual({ unit: undefined, isUnderLock: false });
});

test("a lock applies to what began under it, as long as the lock is held", async () => {
  const looks: boolean[] = [];
  const gone = Promise.withResolvers<void>();
  const later = Promise.withResolvers<void>();
  await serveUnit(unit("a"), () =>
    holdLock(async () => {
      const looked = Promise.withResolvers<void>();
      setImmediate(() => {
        looks.push(leaveServing().isUnderLock);
        looked.resolve();
      });
      gone.promise.then(() => {
        looks.push(leaveServing().isUnderLock);
        later.resolve();
      }, later.reject);
      await looked.promise;
    }),
  );
  gone.resolve();
  await later.promise;
  expect(looks).toEqual([true, false]);
});
