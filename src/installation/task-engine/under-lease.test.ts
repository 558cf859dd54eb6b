import { expect, test } from "vitest";
import { ManualClock } from "../../../test/harness/doubles/manual-clock.ts";
import { Fault } from "../../domain/fault.ts";
import { systemClock } from "../../util/clock.ts";
import { underLease } from "./under-lease.ts";

const aborted = (signal: AbortSignal) =>
  new Promise<never>((_resolve, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
const never = new AbortController().signal;

test("work whose lease another holder took is aborted with lease_lost", async () => {
  const renew = () => Promise.reject(new Fault("lease_lost", "another's"));
  await expect(underLease({ clock: systemClock, leaseMs: 30, renew }, never, aborted)).rejects.toMatchObject({
    code: "lease_lost",
  });
});

test("work continues while the store is unavailable for less than the lease", async () => {
  let asked = 0;
  const { promise, resolve } = Promise.withResolvers<string>();
  const renew = async () => {
    asked += 1;
    if (asked === 1) throw new Fault("store_unavailable", "away");
    resolve("done");
  };
  expect(await underLease({ clock: systemClock, leaseMs: 3_000, renew }, never, () => promise)).toBe("done");
});

test("work ends when the store is unavailable and the clock was set back: the lease may have expired", async () => {
  const clock = new ManualClock();
  const renew = () => Promise.reject(new Fault("store_unavailable", "away"));
  const working = underLease({ clock, leaseMs: 30_000, renew }, never, aborted).catch(
    (error: unknown) => error,
  );
  clock.setBack(3_600_000);
  await clock.advance(11_000, 1_000);
  expect(await working).toMatchObject({ code: "lease_lost" });
});

test("work ends when the store is unavailable for longer than the lease", async () => {
  const renew = () => Promise.reject(new Fault("store_unavailable", "away"));
  await expect(underLease({ clock: systemClock, leaseMs: 30, renew }, never, aborted)).rejects.toMatchObject({
    code: "lease_lost",
  });
});
