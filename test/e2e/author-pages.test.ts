/** The README and the pages for authors of plugins do what they say: each file and command in them is written and run, in order. */
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { type Page, readPage, runSteps, type Step, saysSo } from "../harness/rigs/page-script.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { freePort } from "../harness/servers/free-port.ts";

const ROOT = join(import.meta.dirname, "../..");
const TUTORIAL = "docs/tutorials/first-plugin.md";
const HOW_TO = [
  "README",
  "call-a-model",
  "keep-data",
  "take-files",
  "stream",
  "handle-errors",
  "cache",
  "test",
];
/** The port at which a page serves files. */
const FILES_PORT = "8099";

let site: Site;
let berth: BerthProcess;
let filesPort: string;
let home: string;
beforeAll(async () => {
  filesPort = String(await freePort());
  site = await openSite({
    env: { BERTH_EGRESS_HOSTS: "files=gateway", BERTH_EGRESS_ALLOW: `files:${filesPort}` },
  });
  berth = await site.start();
  home = await mkdtemp(join(tmpdir(), "berth-pages-"));
  // Berth's folder as its user sees it, with the data of this test's Berth.
  await mkdir(join(home, "berth"));
  for (const name of ["src", "node_modules", "examples", "package.json", "berth"])
    await symlink(join(ROOT, name), join(home, "berth", name));
  await symlink(site.dataFolder, join(home, "berth", "data"));
});
afterAll(async () => {
  await rm(home, { recursive: true, force: true });
  await site[Symbol.asyncDispose]();
});

async function page(path: string): Promise<Page> {
  const read = readPage(await readFile(join(ROOT, path), "utf8"));
  expect(read.idle, `blocks of ${path} that nothing runs`).toEqual([]);
  return read;
}

/** Runs them against this test's Berth; throws where a command fails or prints something else. */
async function follow(steps: readonly Step[]): Promise<void> {
  const { port } = new URL(berth.url);
  const here = (text: string) =>
    text.replaceAll("http://127.0.0.1:5002", berth.url).replaceAll(FILES_PORT, filesPort);
  const run = await runSteps(
    steps.map((step) => ({ ...step, text: here(step.text) })),
    {
      folder: join(home, "berth"),
      env: {
        ...process.env,
        ...site.env,
        HOME: home,
        PATH: `${dirname(process.execPath)}:${process.env["PATH"]}`,
        BERTH_PORT: port,
      },
    },
  );
  const commands = steps.filter((step) => step.kind === "command");
  for (const [index, { text, prints }] of commands.entries()) {
    const printed = run.printed[index] ?? "";
    if (prints !== undefined && !saysSo(printed, here(prints)))
      throw new Error(`${text}\nprinted\n${printed}\nand not\n${prints}`);
  }
  expect(run.code, run.printed.at(-1)).toBe(0);
}

test('the commands under the README\'s "Use it" pack, upload, install and call the example in one go', async () => {
  const { steps } = readPage(await readFile(join(ROOT, "README.md"), "utf8"));
  const use = steps.filter(({ text }) => text.includes("./berth pack"));
  expect(use).toMatchObject([{ kind: "command", prints: expect.stringContaining("event: end") }]);
  await follow(use);
});

test("the first plugin goes through the seven steps of a plugin's life in both dialects, as its page says", async () => {
  const { steps } = await page(TUTORIAL);
  expect(steps.length).toBeGreaterThan(20);
  await follow(steps);
});

test("the tools of all how-to pages do what their pages say, in one plugin", async () => {
  const names = (await readdir(join(ROOT, "docs/how-to"))).map((name) => name.replace(".md", ""));
  expect(names.toSorted()).toEqual(HOW_TO.toSorted());
  const tutorial = await page(TUTORIAL);
  const pages = await Promise.all(HOW_TO.map((name) => page(`docs/how-to/${name}.md`)));
  const all = pages.flatMap(({ steps }) => steps);
  const shared = tutorial.steps.filter(({ kind }) => kind === "command").slice(0, 1);
  const files = all.filter(({ kind }) => kind === "file");
  const commands = all.filter(({ kind }) => kind === "command");
  expect(files.length).toBeGreaterThan(15);
  await follow([...shared, ...files, ...commands]);
});
