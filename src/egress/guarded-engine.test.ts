import { expect, it } from "vitest";
import { MemoryEngine } from "../../test/support/engine-memory/memory-engine.ts";
import { Fault } from "../domain/fault.ts";
import { guardedEngine } from "./guarded-engine.ts";

const guarding = { admit: async () => "none" as const, onStarted: async () => undefined };
const never = new AbortController().signal;

function refusing(text: string): MemoryEngine {
  const engine = new MemoryEngine({ now: () => 0 });
  engine.startContainer = () => Promise.reject(new Fault("engine_refused", text));
  return engine;
}

it("a refusal names the setting when no address is free for a container", async () => {
  const engine = refusing("no available IPv4 addresses on this network's address pools: berth-abcd1234 (1f)");
  await expect(guardedEngine(engine, guarding).startContainer("a", never)).rejects.toMatchObject({
    code: "host_full",
    message: expect.stringContaining("BERTH_EGRESS_SUBNET"),
  });
});

it("every other refusal is passed on unchanged", async () => {
  const engine = refusing("no such device");
  await expect(guardedEngine(engine, guarding).startContainer("a", never)).rejects.toMatchObject({
    code: "engine_refused",
    message: "no such device",
  });
});
