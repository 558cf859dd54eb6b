import { expect, test } from "vitest";
import { type RawEntry, rawZip, realFiles, temporaryFolder } from "../../test/support/test-zip.ts";
import { packageFiles } from "./package-files.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "./read-package.ts";

test("the modes of an archive's entries neither change the checksum nor reach the image", async () => {
  await using folder = await temporaryFolder();
  const modes = [0o104755, 0o100000, 0o100777, 0o102644, 0];
  const entries = (mode: (index: number) => number): RawEntry[] =>
    Object.entries(realFiles()).map(([name, content], index) => ({ name, content, mode: mode(index) }));
  const plain = await folder.file("plain.difypkg", rawZip(entries(() => 0o100644)));
  const odd = await folder.file("odd.difypkg", rawZip(entries((index) => modes[index % modes.length] ?? 0)));
  const pkg = await readPackage(odd, new Date(0), DEFAULT_READ_OPTIONS);
  expect(pkg.identifier).toBe((await readPackage(plain, new Date(0), DEFAULT_READ_OPTIONS)).identifier);
  const seen = new Set<string>();
  for await (const { type, mode } of packageFiles(odd, pkg, DEFAULT_READ_OPTIONS))
    seen.add(`${type} ${mode.toString(8)}`);
  expect([...seen].sort()).toEqual(["file 644", "folder 755"]);
});
