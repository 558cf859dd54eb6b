import type { Command } from "commander";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createProgram } from "./program.ts";
import { runCommandLine } from "./run.ts";

let output: string;
let errors: string;
beforeEach(() => {
  [output, errors] = ["", ""];
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    output += String(text);
    return true;
  });
  vi.spyOn(process.stderr, "write").mockImplementation((text) => {
    errors += String(text);
    return true;
  });
});
afterEach(() => vi.restoreAllMocks());

/** Every command and sub-command, as the words that name it. */
function commandsOf(command: Command, path: readonly string[] = []): (readonly string[])[] {
  return command.commands.flatMap((child) => {
    const words = [...path, child.name()];
    return [words, ...commandsOf(child, words)];
  });
}

test("every command has a page of help, which it only prints", async () => {
  const all = commandsOf(createProgram({}));
  expect(all).toContainEqual(["serve"]);
  expect(all).toContainEqual(["trust", "admit"]);
  for (const words of all) {
    output = "";
    expect([words, await runCommandLine([...words, "--help"], {})]).toEqual([words, 0]);
    expect(output).toContain(`Usage: berth ${words.join(" ")}`);
  }
  expect(errors).toBe("");
});

test("a wrong command line exits with 2, and a misspelt word comes with a suggestion", async () => {
  const cases = [
    [["sreve"], /unknown command 'sreve'\n\(Did you mean serve\?\)/],
    [["gc", "--dryrun"], /unknown option '--dryrun'\n\(Did you mean --dry-run\?\)/],
    [["trust", "believe"], /unknown command 'believe'/],
    [["pack"], /missing required argument 'DIR'/],
    [["pack", "a", "b"], /too many arguments for 'pack'/],
    [["sign", "a.difypkg"], /required option '--key <PRIVATE.pem>'/],
    [[], /Usage: berth/],
  ] as const;
  for (const [args, message] of cases) {
    errors = "";
    expect([args, await runCommandLine(args, {})]).toEqual([args, 2]);
    expect(errors).toMatch(message);
  }
  expect(output).toBe("");
});

test("a command that fails exits with 1 and says why in one sentence", async () => {
  expect(await runCommandLine(["pack", "/nowhere/at/all"], {})).toBe(1);
  expect(errors).toMatch(/^berth pack: .+\/nowhere\/at\/all.+\n$/);
});

test("a wrong setting is reported by the command that reads it, and those of the client are settings too", async () => {
  expect(await runCommandLine(["disk"], { BERTH_PROT: "1" })).toBe(1);
  expect(errors).toMatch(/BERTH_PROT is not a setting of Berth; accepted: BERTH_PORT/);
  errors = "";
  const client = { BERTH_URL: "http://127.0.0.1:1", BERTH_KEY: "k", BERTH_TENANT: "t", BERTH_CONTEXT: "c" };
  expect(await runCommandLine(["disk"], { ...client, BERTH_DATA: "/nowhere/at/all" })).toBe(1);
  expect(errors).toMatch(/The operator's key is not in/);
});

test("the version is that of the package", async () => {
  expect(await runCommandLine(["--version"], {})).toBe(0);
  expect(output).toMatch(/^\d+\.\d+\.\d+\n$/);
});
