import { describe, expect, it } from "vitest";
import { MemoryEngine } from "../../test/support/engine-memory/memory-engine.ts";
import type { Fault } from "../domain/fault.ts";
import { silentLog } from "../observe/log.ts";
import { systemClock } from "../util/clock.ts";
import { claimInstance, findHolder, seizeInstance, watchClaim } from "./claim.ts";

const here = { dataFolder: "/srv/berth", database: "postgres:1/16384" };
const never = new AbortController().signal;
const anEngine = () => new MemoryEngine({ now: () => 0 });

describe("an instance id on an engine", () => {
  it("is shared by all processes of one Berth", async () => {
    const engine = anEngine();
    const claim = () => claimInstance(engine, { instanceId: "abcd1234", holder: here }, never);
    await Promise.all([claim(), claim()]);
    await claim();
    expect(await findHolder(engine, "abcd1234", never)).toEqual(here);
  });

  it.each([
    ["another data folder", { ...here, dataFolder: "/srv/copy" }],
    ["another database", { ...here, database: "postgres:1/16385" }],
  ])(
    "is refused to a Berth with %s; the refusal names both holders and what to do",
    async (_what, holder) => {
      const engine = anEngine();
      await claimInstance(engine, { instanceId: "abcd1234", holder: here }, never);
      const refused = await claimInstance(engine, { instanceId: "abcd1234", holder }, never).catch(
        (error: unknown) => error,
      );
      expect(refused).toMatchObject({
        code: "instance_claimed",
        message: expect.stringContaining("berth claim --yes"),
        details: { value: holder, accepted: here },
      });
      await claimInstance(engine, { instanceId: "other123", holder }, never);
    },
  );

  it("can be taken over: its containers are removed, and the old holder notices", async () => {
    const engine = anEngine();
    const copy = { ...here, dataFolder: "/srv/copy" };
    await claimInstance(engine, { instanceId: "abcd1234", holder: here }, never);
    const { promise, resolve } = Promise.withResolvers<Fault>();
    await using _watch = watchClaim(
      { engine, clock: systemClock, log: silentLog },
      { instanceId: "abcd1234", holder: here, everyMs: 1, onLost: resolve },
    );
    await seizeInstance(engine, { instanceId: "abcd1234", holder: copy }, never);
    expect(await findHolder(engine, "abcd1234", never)).toEqual(copy);
    expect(await promise).toMatchObject({ code: "instance_claimed" });
  });

  it("is not lost when an engine that has just started shows the mark without labels", async () => {
    const engine = anEngine();
    await claimInstance(engine, { instanceId: "abcd1234", holder: here }, never);
    const { promise: askedTwice, resolve } = Promise.withResolvers<void>();
    let asked = 0;
    engine.ensureMark = async () => {
      asked += 1;
      if (asked === 2) resolve();
      return {};
    };
    const lost: Fault[] = [];
    await using _watch = watchClaim(
      { engine, clock: systemClock, log: silentLog },
      { instanceId: "abcd1234", holder: here, everyMs: 1, onLost: (fault) => lost.push(fault) },
    );
    await askedTwice;
    expect(lost).toEqual([]);
    await expect(
      claimInstance(engine, { instanceId: "abcd1234", holder: here }, never),
    ).rejects.toMatchObject({
      code: "engine_unavailable",
      message: expect.stringContaining("berth-abcd1234-claim"),
    });
  });
});
