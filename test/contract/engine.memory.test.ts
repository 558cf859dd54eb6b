import { expect, test } from "vitest";
import { aContainerSpec, within } from "../harness/rigs/test-engine.ts";
import { MemoryEngine } from "../support/engine-memory/memory-engine.ts";
import { engineContract } from "./engine.contract.ts";

const labels = { "berth.test": "memory" };
const image = "tiny:1";

function open() {
  const engine = new MemoryEngine({ now: () => Date.now() });
  engine.addImage(image, labels);
  let names = 0;
  const name = (hint: string) => `memory-${hint}-${++names}`;
  const spec = (changes: Partial<ReturnType<typeof aContainerSpec>> = {}) =>
    aContainerSpec({ name: name("c"), image, ...changes, labels: { ...labels, ...changes.labels } });
  return { engine, name, spec };
}

engineContract(
  "memory",
  async () => {
    const { engine, name, spec } = open();
    return {
      engine,
      image,
      labels,
      name,
      spec,
      runEnding: async (how) => {
        const id = await engine.createContainer(spec(), within());
        await engine.startContainer(id, within());
        engine.crash(id, "oom" in how ? { exitCode: 137, oom: true } : how);
        return id;
      },
      [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
    };
  },
  { processes: false },
);

test("a container whose create reply was lost is found by its name", async () => {
  const { engine, spec } = open();
  const wanted = spec();
  engine.loseNextCreateReply();
  await expect(engine.createContainer(wanted, within())).rejects.toMatchObject({
    code: "engine_unavailable",
  });
  expect(await engine.findContainer(wanted.name, within())).toMatchObject({ phase: "created" });
  await expect(engine.createContainer(wanted, within())).rejects.toMatchObject({ code: "conflict" });
});

test("an engine that goes away ends open event streams and calls, and returns with its running containers", async () => {
  const { engine, spec } = open();
  const id = await engine.createContainer(spec(), within());
  await engine.startContainer(id, within());
  const next = engine.events(labels, {}, within())[Symbol.asyncIterator]().next();
  await Promise.resolve();
  engine.unavailable(true);
  await expect(next).rejects.toMatchObject({ code: "engine_unavailable" });
  await expect(engine.listContainers(labels, within())).rejects.toMatchObject({ code: "engine_unavailable" });
  engine.unavailable(false);
  expect(await engine.findContainer(id, within())).toMatchObject({ phase: "running" });
});
