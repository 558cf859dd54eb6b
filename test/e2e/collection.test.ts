/** The script that installs every plugin of a folder, with Berth's own examples and one that cannot be installed. */
import { spawn } from "node:child_process";
import { appendFile, cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { endOf } from "../harness/processes/ended.ts";
import { inherited } from "../harness/rigs/berth.ts";
import { openSite } from "../harness/rigs/site.ts";

const ROOT = join(import.meta.dirname, "../..");

test("every plugin of a folder is installed and uninstalled, and the cause of each failure is printed", async () => {
  await using site = await openSite();
  const folder = await mkdtemp(join(tmpdir(), "berth-collection-test-"));
  try {
    for (const name of ["seed-echo", "tools/unfit"])
      await cp(join(ROOT, "examples/seed-echo"), join(folder, name), { recursive: true });
    await appendFile(join(folder, "tools/unfit/requirements.txt"), "\n./missing.whl\n");
    const { code, output } = await endOf(
      spawn(process.execPath, [join(ROOT, "scripts/install-collection.ts"), folder], {
        env: { ...inherited(), ...site.env },
        stdio: ["ignore", "pipe", "pipe"],
      }),
    );
    expect(output).toMatch(/^ready {2} +[\d.]+ s {2}seed-echo$/m);
    expect(output).toMatch(/^FAILED +[\d.]+ s {2}tools\/unfit\n {4}.*missing\.whl/m);
    expect(output).toMatch(/^1 ready, 1 failed$/m);
    expect(code).toBe(1);
    await using berth = await site.start();
    expect(await berth.json(200, "GET", "/v1/packages")).toMatchObject({ items: [{}, {}] });
    expect(await site.containers()).toEqual([]);
  } finally {
    await rm(folder, { recursive: true });
  }
});
