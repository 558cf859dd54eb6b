import { expect, test, vi } from "vitest";
import { Refresh } from "./refresh.ts";

/** Reads that a test ends by hand. */
function reads() {
  const open: PromiseWithResolvers<void>[] = [];
  const refresh = new Refresh(() => {
    const read = Promise.withResolvers<void>();
    open.push(read);
    return read.promise;
  });
  const begun = (count: number) => vi.waitFor(() => expect(open).toHaveLength(count));
  return { refresh, open, begun };
}

test("all who ask while a read is under way share the next, which begins when that has ended", async () => {
  const { refresh, open, begun } = reads();
  const first = refresh.run();
  await begun(1);
  const [second, third] = [refresh.run(), refresh.run()];
  expect(third).toBe(second);
  expect(open).toHaveLength(1);
  open[0]?.resolve();
  await first;
  await begun(2);
  open[1]?.resolve();
  await second;
  expect(open).toHaveLength(2);
});

test("a read that fails fails those who wait for it, and the next one runs", async () => {
  const { refresh, open, begun } = reads();
  const first = refresh.run();
  await begun(1);
  const second = refresh.run();
  open[0]?.reject(new Error("no"));
  await expect(first).rejects.toThrow("no");
  await begun(2);
  open[1]?.resolve();
  await second;
});

test("it has settled when the read under way and the one asked for have ended, well or not", async () => {
  const { refresh, open, begun } = reads();
  await refresh.settled();
  refresh.run().catch(() => undefined);
  await begun(1);
  refresh.run().catch(() => undefined);
  let isSettled = false;
  const settled = refresh.settled().then(() => {
    isSettled = true;
  });
  open[0]?.resolve();
  await begun(2);
  expect(isSettled).toBe(false);
  open[1]?.reject(new Error("no"));
  await settled;
});
