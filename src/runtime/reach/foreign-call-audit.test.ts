import { expect, test } from "vitest";
import { Fault } from "../../domain/fault.ts";
import { silentLog } from "../../observe/log.ts";
import { createForeignCallAudit } from "./foreign-call-audit.ts";

function anAudit() {
  const recorded: string[] = [];
  const now = { ms: 0, isAway: false };
  const audit = createForeignCallAudit({
    store: {
      events: {
        recordForeignCall: async (poolKey) => {
          if (now.isAway) throw new Fault("store_unavailable", "away");
          recorded.push(poolKey);
          return true;
        },
      },
    },
    clock: { now: () => 0, elapsed: () => now.ms, sleep: () => Promise.resolve() },
    log: silentLog,
  });
  return { recorded, now, audit };
}

test("a plugin that calls back for foreign sessions all the time is recorded once a minute", () => {
  const { recorded, now, audit } = anAudit();
  for (now.ms = 0; now.ms < 150_000; now.ms += 100) audit({ poolKey: "a" });
  audit({ poolKey: "b" });
  expect(recorded).toEqual(["a", "a", "a", "b"]);
});

test("what the store did not take is tried again with the next one", async () => {
  const { recorded, now, audit } = anAudit();
  now.isAway = true;
  audit({ poolKey: "a" });
  await new Promise((resolve) => setImmediate(resolve));
  now.isAway = false;
  audit({ poolKey: "a" });
  expect(recorded).toEqual(["a"]);
});
