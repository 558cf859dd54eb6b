import { expect, test } from "vitest";
import type { EngineImage } from "../../engine/engine.ts";
import { pickRuntimeImage } from "./runtime-image.ts";

const image = (id: string, python: string, createdAt: number): EngineImage => ({
  id,
  tags: [`${id}:1`],
  labels: { "berth.python": python },
  bytes: 1,
  createdAt: new Date(createdAt),
});
const IMAGES = [image("old", "3.13", 1), image("newer-python", "3.14", 3), image("new", "3.13", 2)];

const pick = (version: string, policy: "nearest-newer" | "exact", images = IMAGES) =>
  pickRuntimeImage(
    { listImages: async () => images },
    { runner: { language: "python", version, entrypoint: "main", arch: ["amd64"] } },
    policy,
    new AbortController().signal,
  );

test("a package gets the newest image with its Python, else one with the nearest newer Python and a warning", async () => {
  expect(await pick("3.13", "exact")).toEqual({ id: "new", python: "3.13", warnings: [] });
  expect(await pick("3.12", "nearest-newer")).toMatchObject({
    id: "new",
    warnings: ["The package asks for Python 3.12 and runs on 3.13."],
  });
});

test("a Python that no image has is refused with those that the images have, each named once", async () => {
  const accepted = ["3.13", "3.14"];
  const details = { field: "meta.runner.version", value: "3.12", accepted };
  await expect(pick("3.12", "exact")).rejects.toMatchObject({ code: "python_not_available", details });
  await expect(pick("3.15", "nearest-newer")).rejects.toThrow("runtime images have 3.13, 3.14.");
  await expect(pick("3.12", "nearest-newer", [])).rejects.toThrow("there is no runtime image");
});
