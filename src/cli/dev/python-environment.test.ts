import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ensureEnvironment } from "./python-environment.ts";

let folder: string;
let said: string[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-environment-"));
  said = [];
  await mkdir(join(folder, "plugin"));
  await mkdir(join(folder, "bin"));
});
afterEach(() => rm(folder, { recursive: true }));

/** A program that notes what it was asked, and then does `then`. */
async function program(name: string, then: string): Promise<void> {
  const path = join(folder, "bin", name);
  await writeFile(path, `#!/bin/sh\necho "${name} $*" >>${folder}/asked\n${then}\n`);
  await chmod(path, 0o755);
}

const UV = `case $1 in --version) echo uv 1 ;; venv) mkdir -p .venv/bin && : >.venv/bin/python ;; esac`;

function ensure(python: string | undefined = "3.12") {
  return ensureEnvironment({
    env: { PATH: `${folder}/bin:/bin:/usr/bin` },
    folder: join(folder, "plugin"),
    python,
    say: (line) => void said.push(line),
    signal: new AbortController().signal,
  });
}

const asked = async () => (await readFile(join(folder, "asked"), "utf8")).trim().split("\n");

test("an environment that the author made is used as it is, whatever the requirements say", async () => {
  await mkdir(join(folder, "plugin/.venv/bin"), { recursive: true });
  await writeFile(join(folder, "plugin/.venv/bin/python"), "");
  const before = await ensure();
  await writeFile(join(folder, "plugin/requirements.txt"), "dify_plugin\n");
  expect(await ensure()).toMatchObject({ python: before.python });
  expect(before.python).toBe(join(folder, "plugin/.venv/bin/python"));
  expect(said).toEqual([]);
});

test("an environment is made from the requirements once, and filled again when they change", async () => {
  await program("uv", UV);
  await program("python3.12", "echo 3.12");
  await writeFile(join(folder, "plugin/requirements.txt"), "dify_plugin\n");
  const { requirements } = await ensure();
  expect(await ensure()).toMatchObject({ requirements });
  const install = `uv pip install --quiet --compile-bytecode --python ${folder}/plugin/.venv/bin/python -r requirements.txt`;
  const made = (await asked()).filter((line) => !line.includes("--version") && !line.startsWith("python"));
  expect(made).toEqual([`uv venv --quiet --python python3.12 ${folder}/plugin/.venv`, install]);

  await writeFile(join(folder, "plugin/requirements.txt"), "dify_plugin\nhttpx\n");
  expect((await ensure()).requirements).not.toBe(requirements);
  expect((await asked()).at(-1)).toBe(install);
});

test("without requirements.txt the dependencies of pyproject.toml are installed", async () => {
  await program("uv", UV);
  await program("python3", "echo 3.11");
  await writeFile(
    join(folder, "plugin/pyproject.toml"),
    '[project]\nname = "x"\ndependencies = ["a>1", "b"]\n',
  );
  await ensure();
  expect((await asked()).at(-1)).toMatch(/\.venv\/bin\/python a>1 b$/);
  expect(said).toContain("warning: the manifest asks for Python 3.12, and this is 3.11");
});

test("an installation that fails has the tool's last lines in its error, and is tried again", async () => {
  await program("uv", `${UV}\n[ "$1" != pip ] || { echo "no such package" >&2; exit 1; }`);
  await program("python3.12", "echo 3.12");
  await writeFile(join(folder, "plugin/requirements.txt"), "nothing-like-it\n");
  await expect(ensure()).rejects.toThrow("uv pip install failed:\nno such package");
  await expect(ensure()).rejects.toThrow("uv pip install failed:\nno such package");
});
