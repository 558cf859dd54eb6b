import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { temporaryFolder, zipOf } from "../../../test/support/test-zip.ts";
import { createLog } from "../../observe/log.ts";
import { openDiskPackages } from "../../packages/disk/disk-packages.ts";
import type { PackageStore } from "../../packages/package-store.ts";
import { DEFAULT_READ_OPTIONS } from "../../packages/read-package.ts";
import { createDiskFiles } from "../../storage/disk/disk-files.ts";
import { systemClock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { type InstalledCopiesDeps, InstalledCopyPasses, startInstalledCopies } from "./installed-copies.ts";

const [first = "", second = ""] = ["ab", "cd"].map((digits) => `acme/echo:1.0.0@${digits.repeat(32)}`);
const SVG = "<svg/>";
const ICON = `${createHash("sha256").update(`${SVG}icon.svg`).digest("hex")}.svg`;
const ARCHIVE = zipOf({ "manifest.yaml": "x", "_assets/icon.svg": SVG });
const never = new AbortController().signal;

let scope: Scope;
let root: string;
let packages: PackageStore;
let installed: readonly string[];
let deps: InstalledCopiesDeps;
const lines: Record<string, unknown>[] = [];

beforeEach(async () => {
  scope = new Scope();
  root = scope.use(await temporaryFolder()).path;
  packages = await openDiskPackages({ folder: join(root, "plugin_packages"), stagedAgeMaxMs: 1000 });
  installed = [];
  lines.length = 0;
  deps = {
    store: {
      packages: { find: async () => ({ declaration: { icon: ICON, tool: { identity: { icon: ICON } } } }) },
      disk: { packages: { installed: async () => installed } },
    },
    packages,
    files: createDiskFiles({ root }),
    folders: { installed: "plugin", assets: "assets" },
    archives: DEFAULT_READ_OPTIONS,
    clock: systemClock,
    log: createLog({ level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } }),
    everyMs: 3_600_000,
  };
});
afterEach(() => scope.close());

async function keep(identifier: string): Promise<void> {
  await using staged = await packages.stage();
  await writeFile(staged.path, ARCHIVE);
  await packages.keep(staged, identifier);
}

async function copies(): Promise<readonly string[]> {
  const names = await readdir(join(root, "plugin/acme")).catch(() => []);
  return names.map((name) => `acme/${name}`).toSorted();
}

const compare = () => new InstalledCopyPasses(deps).run(never);

it("a package is in the installed folder, with its icons, exactly while some tenant has it installed", async () => {
  for (const identifier of [first, second]) await keep(identifier);
  installed = [first];
  await compare();
  expect(await copies()).toEqual([first]);
  expect((await readFile(join(root, "plugin", first))).equals(ARCHIVE)).toBe(true);
  expect(await readFile(join(root, "assets", ICON), "utf8")).toBe(SVG);
  installed = [second];
  await compare();
  expect(await copies()).toEqual([second]);
  installed = [];
  await compare();
  expect(await copies()).toEqual([]);
  expect(await packages.has(first)).toBe(true);
});

it("a copy stays after the removal of its package, even when no tenant has it installed any more", async () => {
  await keep(first);
  installed = [first];
  await compare();
  await packages.remove(first);
  await compare();
  expect((await readFile(join(root, "plugin", first))).equals(ARCHIVE)).toBe(true);
  installed = [];
  await compare();
  expect(await copies()).toEqual([first]);
});

it("a file that is not a package stays, and a missing archive is logged once and delays no other package", async () => {
  await mkdir(join(root, "plugin/acme"), { recursive: true });
  await writeFile(join(root, "plugin/acme/notes.txt"), "mine");
  await keep(second);
  installed = [first, second];
  const passes = new InstalledCopyPasses(deps);
  for (let pass = 0; pass < 3; pass += 1) await passes.run(never);
  expect(await copies()).toEqual([second, "acme/notes.txt"].toSorted());
  expect(lines.filter(({ code }) => code === "package_not_found")).toHaveLength(1);
});

it("a worker that acted on outdated rows corrects the result", async () => {
  await keep(first);
  installed = [first];
  const { open } = { open: packages.open.bind(packages) };
  const slow = {
    has: packages.has.bind(packages),
    // The last tenant uninstalls it while its archive is being opened.
    open: async (identifier: string) => {
      installed = [];
      return await open(identifier);
    },
  };
  await new InstalledCopyPasses({ ...deps, packages: slow }).run(never);
  expect(await copies()).toEqual([]);
});

it("rows and copies are compared at the start, on request, and once more at the end", async () => {
  await keep(first);
  await keep(second);
  installed = [first];
  const running = startInstalledCopies(deps);
  await expect.poll(copies).toEqual([first]);
  installed = [first, second];
  running.look();
  await expect.poll(copies).toEqual([first, second].toSorted());
  installed = [second];
  await running[Symbol.asyncDispose]();
  expect(await copies()).toEqual([second]);
});

it("icons that a daemon has stored stay as they are", async () => {
  await keep(first);
  const path = join(root, "assets", ICON);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "the daemon's");
  installed = [first];
  await compare();
  expect(await readFile(path, "utf8")).toBe("the daemon's");
  await rm(path);
  await compare();
  expect(await copies()).toEqual([first]);
});
