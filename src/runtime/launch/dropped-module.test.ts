import { expect, test } from "vitest";
import { startCrashed } from "./exit-cause.ts";

const EXIT = { exitCode: 1, signal: undefined, oom: false };
const messageOf = (...lines: string[]) => startCrashed(EXIT, lines, "acme/reader").message;

test.each([
  [
    "cgi",
    "Python has not had since 3.13: add legacy-cgi to its requirements, or run it on an older Python (runtime-images/python/build --python 3.12).",
  ],
  ["telnetlib", "since 3.13: add standard-telnetlib to its requirements"],
  [
    "lib2to3.pgen2",
    "the module lib2to3, which Python has not had since 3.13: run it on an older Python (runtime-images/python/build --python 3.12).",
  ],
  ["distutils.util", "since 3.12: add setuptools to its requirements"],
])("a start that fails for the dropped module %s says so, and what helps", (module, expected) => {
  const line = `ModuleNotFoundError: No module named '${module}'`;
  expect(messageOf("Traceback (most recent call last):", line)).toContain(expected);
});

test.each([
  ["AttributeError: module 'typing' has no attribute 'io'", "typing.io", "3.13", "3.12"],
  [
    "AttributeError: module 'inspect' has no attribute 'getargspec'. Did you mean: 'getargs'?",
    "inspect.getargspec",
    "3.11",
    "3.10",
  ],
  [
    "ImportError: cannot import name 'SafeConfigParser' from 'configparser' (/usr/lib/python3.13/configparser.py)",
    "configparser.SafeConfigParser",
    "3.12",
    "3.11",
  ],
])("a start that fails for a name that Python dropped says so: %s", (line, name, since, older) => {
  expect(messageOf(line)).toContain(
    `The package uses ${name}, which Python has not had since ${since}: run it on an older Python ` +
      `(runtime-images/python/build --python ${older}).`,
  );
});

test("of two names that a library tries, the module that Python had is named", () => {
  const first = "ModuleNotFoundError: No module named 'audioop'";
  const second = "ModuleNotFoundError: No module named 'pyaudioop'";
  expect(messageOf(first, "During handling of the above exception:", second)).toContain(
    "the module audioop,",
  );
});

test.each([
  "ModuleNotFoundError: No module named 'requests'",
  "a log line about cgi",
  "No module named 'cgi'",
  "AttributeError: module 'typing' has no attribute 'Odd'",
])("other output explains nothing: %s", (line) => {
  expect(messageOf(line)).toBe("The plugin ended with exit code 1. It was not ready yet.");
});
