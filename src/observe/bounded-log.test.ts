import { afterEach, expect, test, vi } from "vitest";
import { boundLog } from "./bounded-log.ts";
import { type Log, silentLog } from "./log.ts";

afterEach(() => {
  vi.useRealTimers();
});

function bounded() {
  vi.useFakeTimers();
  const lines: Record<string, unknown>[] = [];
  const collect: Log = {
    ...silentLog,
    info: (fields) => void lines.push({ ...fields }),
    child: (more) => ({ ...silentLog, info: (fields) => void lines.push({ ...more, ...fields }) }),
  };
  return { log: boundLog(collect), lines };
}

const notice = (runtime: string, bytes: number) => ({
  op: "runtime.notice",
  runtime,
  kind: "bad_line",
  bytes,
});

test("100,000 lines of one runtime are written as the first line and one count a second later", () => {
  const { log, lines } = bounded();
  for (let n = 0; n < 100_000; n++) log.info(notice("a", n));
  log.info(notice("b", 1));
  expect(lines).toEqual([notice("a", 0), notice("b", 1)]);
  vi.advanceTimersByTime(1000);
  expect(lines.slice(2)).toEqual([{ ...notice("a", 99_999), repeated: 99_999 }]);
  log.info(notice("a", 5));
  expect(lines.at(-1)).toEqual(notice("a", 5));
  vi.advanceTimersByTime(10_000);
  expect(lines).toHaveLength(4);
  expect(vi.getTimerCount()).toBe(0);
});

test("calls to the host are logged line by line up to 20 in a second, and the rest is counted", () => {
  const { log, lines } = bounded();
  const call = { op: "invocation.host_call", tenant_id: "t", plugin: "p", type: "storage" };
  for (let n = 0; n < 1000; n++) log.child({ part: "x" }).info(call);
  vi.advanceTimersByTime(1000);
  expect(lines).toHaveLength(21);
  expect(lines.at(-1)).toEqual({ ...call, repeated: 980 });
});

test("requests from outside are all logged; a plugin's calls of other plugins are limited to 20 lines a second", () => {
  const { log, lines } = bounded();
  const call = { op: "invocation.invoke", tenant_id: "t", plugin: "p" };
  for (let n = 0; n < 100; n++) log.info(call);
  expect(lines).toHaveLength(100);
  for (let n = 0; n < 100; n++) log.info({ ...call, depth: 1 });
  expect(lines).toHaveLength(120);
});

test("the remaining counts are written at the end", () => {
  const { log, lines } = bounded();
  for (let n = 0; n < 3; n++) log.info(notice("a", n));
  log[Symbol.dispose]();
  expect(lines.at(-1)).toEqual({ ...notice("a", 2), repeated: 2 });
  expect(vi.getTimerCount()).toBe(0);
});
