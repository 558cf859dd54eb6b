import { expect, test } from "vitest";
import { startCrashed } from "./exit-cause.ts";
import { explainMissingPart } from "./missing-part.ts";
import { parsePackages, VARIANT_PACKAGES } from "./variant-table.ts";

const PLUGIN = "acme/reader";
const ADVICE =
  "which the variant python-full of the runtime image has: run runtime-images/variant python-full, set " +
  "BERTH_PLUGIN_IMAGES=acme/reader=python-full, and install the plugin again.";

test.each([
  [
    "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
    "the library libGL.so.1",
  ],
  ["[Errno 2] No such file or directory: 'ffmpeg'", "the program ffmpeg"],
  ["/bin/sh: 1: ffprobe: not found", "the program ffprobe"],
  ["bash: line 1: git: command not found", "the program git"],
  [
    "ImportError: failed to find libmagic.  Check your installation",
    "what the Debian package libmagic1 brings",
  ],
  ['OSError: no library called "cairo-2" was found', "what the Debian package libcairo2 brings"],
])("%s: names what is missing, the variant that has it, and what to set", (text, what) => {
  expect(explainMissingPart(text, PLUGIN)).toBe(`It needs ${what}, ${ADVICE}`);
});

test.each([
  ["ImportError: libodd.so.3: cannot open shared object file", "the library libodd.so.3"],
  ["sh: 1: pandoc: not found", "the program pandoc"],
])("%s: a part that no variant has is named, with the way to add it", (text, what) => {
  expect(explainMissingPart(text, PLUGIN)).toBe(
    `It needs ${what}, which its runtime image does not have; a variant of your own can add it (runtime-images/variant).`,
  );
});

test.each([
  "FileNotFoundError: [Errno 2] No such file or directory: 'settings.json'",
  "FileNotFoundError: [Errno 2] No such file or directory: '/data/ffmpeg'",
  "ffmpeg was there",
  "ImportError: cannot import name 'git'",
])("other errors explain nothing: %s", (text) => {
  expect(explainMissingPart(text, PLUGIN)).toBeUndefined();
});

test("a text of 16 MB that looks like a library is searched in no time", () => {
  const began = performance.now();
  expect(explainMissingPart("lib".repeat(5_600_000), PLUGIN)).toBeUndefined();
  expect(performance.now() - began).toBeLessThan(1_000);
});

test("a start that fails for a library says so in its cause", () => {
  const lines = [
    "W: libcuda.so.1: cannot open shared object file, running without it",
    "Traceback (most recent call last):",
    '  File "main.py", line 3, in <module>',
    "ImportError: libGL.so.1: cannot open shared object file: No such file or directory",
  ];
  const exit = { exitCode: 1, signal: undefined, oom: false };
  expect(startCrashed(exit, lines, PLUGIN).message).toBe(
    `The plugin ended with exit code 1. It was not ready yet. It needs the library libGL.so.1, ${ADVICE}`,
  );
  expect(startCrashed(exit, lines.slice(0, 3), PLUGIN).message).toBe(
    "The plugin ended with exit code 1. It was not ready yet.",
  );
});

test("a file of packages has a package a line, with its parts and quoted texts of errors", () => {
  const content =
    '# all\n\nffmpeg: ffmpeg ffprobe\n  libcairo2: libcairo.so.2 "no \\"cairo\\" here"\nfonts-acme:\ncurl\n';
  expect(parsePackages("own", content)).toEqual([
    { variant: "own", name: "ffmpeg", parts: ["ffmpeg", "ffprobe"], texts: [] },
    { variant: "own", name: "libcairo2", parts: ["libcairo.so.2"], texts: ['no "cairo" here'] },
    { variant: "own", name: "fonts-acme", parts: [], texts: [] },
    { variant: "own", name: "curl", parts: [], texts: [] },
  ]);
});

test("no part is in two packages of the variants", () => {
  const parts = VARIANT_PACKAGES.flatMap((one) => one.parts);
  expect(new Set(parts).size).toBe(parts.length);
  expect(parts).toContain("ffmpeg");
});
