import { access, chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect, it } from "vitest";
import { temporaryFolder } from "../../../test/support/test-zip.ts";
import { createLog } from "../../observe/log.ts";
import { listDiskPackages, openDiskPackages } from "./disk-packages.ts";
import { moveFormerArchives } from "./former-layout.ts";

const identifiers = ["ab", "cd", "ef"].map((digits) => `acme/echo:1.0.0@${digits.repeat(32)}`);
const [first = "", second = "", third = ""] = identifiers;

async function aFormerFolder() {
  const base = await temporaryFolder();
  const [former, folder] = [join(base.path, "packages"), join(base.path, "storage/plugin_packages")];
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const keep = async (path: string, text: string) => {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, text);
  };
  for (const identifier of identifiers) await keep(join(former, `${identifier}.difypkg`), identifier);
  await keep(join(former, ".staging/half-an-upload"), "x");
  return { former, folder, log, lines, keep, [Symbol.asyncDispose]: () => base[Symbol.asyncDispose]() };
}

it("every archive is moved to where the daemon looks for it, and other files stay", async () => {
  await using place = await aFormerFolder();
  await moveFormerArchives(place);
  expect(await listDiskPackages(place.folder)).toEqual(identifiers);
  expect(await readFile(join(place.folder, first), "utf8")).toBe(first);
  expect(await readdir(place.former, { recursive: true })).toEqual([".staging", ".staging/half-an-upload"]);
  expect(place.lines).toMatchObject([{ op: "packages.move", ok: true, moved: 3 }]);
});

it("the moves of a killed start are finished, and what is in the new place stays", async () => {
  await using place = await aFormerFolder();
  await place.keep(join(place.folder, first), first);
  await place.keep(join(place.folder, second), "newer");
  const starts = Array.from({ length: 4 }, () => moveFormerArchives(place));
  await Promise.all(starts);
  expect(await readFile(join(place.folder, second), "utf8")).toBe("newer");
  expect(await readFile(join(place.folder, third), "utf8")).toBe(third);
  expect(await listDiskPackages(place.folder)).toEqual(identifiers);
});

it("without a former folder nothing happens, and no folder is created", async () => {
  await using place = await aFormerFolder();
  const former = join(dirname(place.former), "never");
  await moveFormerArchives({ ...place, former });
  await expect(access(former)).rejects.toThrow();
  expect(place.lines).toEqual([]);
});

it("archives that a daemon has stored can be opened with the rights that it gave them", async () => {
  await using base = await temporaryFolder();
  const path = join(base.path, first);
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "the daemon's");
  await chmod(path, 0o644);
  const packages = await openDiskPackages({ folder: base.path, stagedAgeMaxMs: 1000 });
  await using opened = await packages.open(first);
  expect(await readFile(opened.path, "utf8")).toBe("the daemon's");
  expect(
    (await Array.fromAsync(packages.list(AbortSignal.timeout(5000)))).map((it) => it.identifier),
  ).toEqual([first]);
});
