/**
 * Packages with everything that their kinds may hold, against what the daemon's own reader makes of the same archives:
 * every key, in its order. The texts that explain a model's common parameters are our own; their languages are not.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { z } from "zod";
import { temporaryFolder } from "../../../test/support/test-zip.ts";
import { categoryOf } from "../../domain/package.ts";
import { packFolder } from "../archive/pack.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../read-package.ts";

const FOLDER = join(import.meta.dirname, "../../../test/fixtures/declarations");
const Expected = z.object({ identifier: z.string(), category: z.string(), declaration: z.unknown() });
const Help = z.record(z.string(), z.string());

/** What a template has filled in shows its languages alone. */
function withoutHelp(_key: string, value: unknown): unknown {
  if (typeof value !== "object" || value === null || !("use_template" in value)) return value;
  const help = Help.safeParse(Reflect.get(value, "help"));
  if (value.use_template === null || !help.success || help.data["en_US"] === "Own help") return value;
  return { ...value, help: Object.keys(help.data).sort() };
}

test.each(["tool-and-endpoint", "endpoint", "model", "strategy", "datasource", "trigger"])(
  "the declaration of %s is the daemon's, key for key",
  async (kind) => {
    await using folder = await temporaryFolder();
    const { output } = await packFolder({ folder: join(FOLDER, kind), output: join(folder.path, "a") });
    const pkg = await readPackage(output, new Date(0), DEFAULT_READ_OPTIONS);
    const expected = Expected.parse(
      JSON.parse(await readFile(join(FOLDER, `${kind}.expected.json`), "utf8")),
    );
    expect(pkg.identifier).toBe(expected.identifier);
    expect(categoryOf(pkg.providers.map((provider) => provider.kind))).toBe(expected.category);
    // as text, because the order of keys counts as well
    const shown = JSON.stringify(JSON.parse(JSON.stringify(pkg.declaration), withoutHelp), null, 1);
    expect(shown).toBe(JSON.stringify(expected.declaration, null, 1));
  },
);
