/** The command as it is installed: from npm's package, and under a Node that is too old. */
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rename, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { inherited } from "../harness/rigs/berth.ts";

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, "../..");
const LAUNCHER = join(ROOT, "bin/berth.cjs");

let folder: string;
let old: string[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-installed-"));
  const version = 'Object.defineProperty(process, "versions", { value: { node: "20.19.0" } });';
  await writeFile(join(folder, "old.cjs"), version);
  old = ["--require", join(folder, "old.cjs")];
});
afterAll(() => rm(folder, { recursive: true }));

test("the package of npm runs below node_modules, where Node strips no types", async () => {
  const env = inherited();
  const { stdout } = await run("npm", ["pack", "--json", "--pack-destination", folder], { cwd: ROOT, env });
  const [{ filename }] = JSON.parse(stdout);
  await run("tar", ["-xzf", join(folder, filename), "-C", folder]);
  await mkdir(join(folder, "node_modules"));
  const installed = join(folder, "node_modules/berth");
  await rename(join(folder, "package"), installed);
  await symlink(join(ROOT, "node_modules"), join(installed, "node_modules"));

  const command = [
    join(installed, "bin/berth.cjs"),
    "pack",
    join(ROOT, "test/plugins/echo"),
    "-o",
    "echo.difypkg",
  ];
  const packed = await run(process.execPath, command, { cwd: folder, env });
  expect(packed.stdout).toMatch(/^berth-tests\/echo:\S+\n\S+echo\.difypkg \(/);
});

test("an older Node starts the pinned one, whose exit code is that of the command", async () => {
  const { stdout } = await run(process.execPath, [...old, LAUNCHER, "--version"], { cwd: folder });
  expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  await expect(run(process.execPath, [...old, LAUNCHER, "sreve"], { cwd: folder })).rejects.toMatchObject({
    code: 2,
    stderr: expect.stringContaining("(Did you mean serve?)"),
  });
});

test("an older Node without the pinned one says in one sentence what is needed", async () => {
  await mkdir(join(folder, "alone/bin"), { recursive: true });
  await cp(LAUNCHER, join(folder, "alone/bin/berth.cjs"));
  const command = [...old, join(folder, "alone/bin/berth.cjs"), "--version"];
  await expect(run(process.execPath, command)).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringMatching(
      /^berth needs Node\.js 24\.5 or newer, and this is v\S+ \(.+\): install a newer one\.\n$/,
    ),
  });
});
