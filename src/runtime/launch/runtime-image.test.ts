import { expect, it } from "vitest";
import type { EngineImage } from "../../engine/engine.ts";
import { listRuntimeImages, listVariantImages } from "./runtime-image.ts";

const image = (id: string, createdAt: number, tags = [`${id}:1`]): EngineImage => ({
  id,
  tags,
  labels: {},
  bytes: 1,
  createdAt: new Date(createdAt),
});

it("lists images with a name, the newest first", async () => {
  const asked: object[] = [];
  const engine = {
    listImages: async (labels: object) => {
      asked.push(labels);
      return [image("old", 1), image("unnamed", 3, []), image("new", 2)];
    },
  };
  const found = await listRuntimeImages(engine, new AbortController().signal);
  expect(found.map(({ id }) => id)).toEqual(["new", "old"]);
  expect(asked).toEqual([{ "berth.kind": "runtime-image", "berth.runtime": "python" }]);
});

it("lists the images of a variant by labels that a runtime image does not have", async () => {
  const asked: object[] = [];
  const engine = {
    listImages: async (labels: object) => {
      asked.push(labels);
      return [];
    },
  };
  await listVariantImages(engine, "own", new AbortController().signal);
  expect(asked).toEqual([
    { "berth.kind": "runtime-variant", "berth.runtime": "python", "berth.variant": "own" },
  ]);
});
