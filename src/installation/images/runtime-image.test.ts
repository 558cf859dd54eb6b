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

const pick = (version: string, python: "nearest-newer" | "exact", images = IMAGES, variants = {}) =>
  pickRuntimeImage(
    {
      listImages: async (labels) =>
        images.filter((one) => one.labels["berth.variant"] === labels["berth.variant"]),
    },
    { pluginId: "acme/sound", runner: { language: "python", version, entrypoint: "main", arch: ["amd64"] } },
    { python, variants },
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

test("a plugin gets an image of the variant that is set for it, with its Python where the variant has it", async () => {
  const full = (id: string, python: string) => {
    const one = image(id, python, 9);
    return { ...one, labels: { ...one.labels, "berth.variant": "python-full" } };
  };
  const images = [...IMAGES, full("full-3.11", "3.11"), full("full-3.13", "3.13")];
  const variants = { "acme/sound": "python-full" };
  expect((await pick("3.13", "exact", images)).id).toBe("new");
  expect((await pick("3.11", "exact", images, variants)).id).toBe("full-3.11");
  expect((await pick("3.12", "nearest-newer", images, variants)).id).toBe("full-3.13");
  await expect(pick("3.14", "nearest-newer", images, variants)).rejects.toThrow(
    "images of the variant python-full have 3.11, 3.13.",
  );
});

test("a variant that the engine does not have is named with the setting and the command that builds it", async () => {
  await expect(pick("3.13", "exact", IMAGES, { "*": "own" })).rejects.toMatchObject({
    code: "variant_not_available",
    message:
      "BERTH_PLUGIN_IMAGES puts acme/sound on the variant own, and the engine has no image of it: run runtime-images/variant own.",
    details: { field: "BERTH_PLUGIN_IMAGES", value: "acme/sound=own" },
  });
});
