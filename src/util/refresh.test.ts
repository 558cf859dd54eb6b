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

test("calls during a read share the next read, which begins when the current read has ended", async () => {
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

test("a failed read fails only its waiters, and the next read runs", async () => {
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

test("a refresh has settled when the current and the pending read have ended, with or without an error", async () => {
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
