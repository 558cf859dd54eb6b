import { expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { MemoryEngine } from "../support/engine-memory/memory-engine.ts";

const never = new AbortController().signal;

test("a planned failure happens once, for its operation only", async () => {
  const engine = new MemoryEngine({ now: () => 0 });
  engine.failNext("list", new Fault("engine_refused", "planned"));
  expect(await engine.findContainer("x", never)).toBeUndefined();
  await expect(engine.listContainers({}, never)).rejects.toThrow("planned");
  expect(await engine.listContainers({}, never)).toEqual([]);
  expect(engine.count("list")).toBe(2);
});

test("an image that is built again takes over the reference", async () => {
  const engine = new MemoryEngine({ now: () => 0 });
  const first = engine.addImage("a:1");
  const second = engine.addImage("a:1");
  expect((await engine.findImage("a:1", never))?.id).toBe(second);
  expect((await engine.findImage(first, never))?.tags).toEqual([]);
});
