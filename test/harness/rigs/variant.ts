/** A variant of the runtime image on the machine's engine, built by `runtime-images/variant` from a folder of a test. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const COMMAND = join(import.meta.dirname, "../../../runtime-images/variant");

export interface TestVariant extends AsyncDisposable {
  readonly name: string;
  readonly image: string;
}

/** Of files by name, among them `setup` or `packages`. */
export async function buildVariant(files: Readonly<Record<string, string>>): Promise<TestVariant> {
  const name = `own-${randomBytes(4).toString("hex")}`;
  const folder = await mkdtemp(join(tmpdir(), "berth-variant-"));
  try {
    await mkdir(join(folder, name));
    for (const [file, text] of Object.entries(files)) await writeFile(join(folder, name, file), text);
    await run(COMMAND, [join(folder, name)]);
  } finally {
    await rm(folder, { recursive: true });
  }
  const label = ["--filter", `label=berth.variant=${name}`];
  const { stdout } = await run("docker", ["images", ...label, "--format", "{{.Repository}}:{{.Tag}}"]);
  const image = stdout.trim();
  return {
    name,
    image,
    async [Symbol.asyncDispose]() {
      await run("docker", ["rmi", image]);
    },
  };
}
