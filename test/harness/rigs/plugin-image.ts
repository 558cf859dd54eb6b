/** An image with a plugin that needs nothing but the standard library, made the way the builder leaves one. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pack } from "tar-stream";
import type { Engine } from "../../../src/engine/engine.ts";
import { aContainerSpec, within } from "./test-engine.ts";

const PROTOCOL = join(import.meta.dirname, "../../plugins/berth_protocol.py");
const ROOT = "0:0";

/** `files`: module name to source, put into `/plugin` beside `berth_protocol.py`. */
export async function makePluginImage(
  engine: Engine,
  { name, labels, files }: { name: string; labels: Record<string, string>; files: Record<string, string> },
): Promise<string> {
  const base = aContainerSpec({ name, image: "berth-python:5", labels, command: ["/bin/sleep", "600"] });
  const env = { PATH: "/usr/local/bin:/usr/bin:/bin" };
  const id = await engine.createContainer({ ...base, env }, within());
  try {
    await engine.startContainer(id, within());
    const venv = "mkdir -p /plugin /opt && /usr/local/bin/python3 -m venv --without-pip /opt/venv";
    const { exitCode } = await engine.exec(
      id,
      { command: ["/bin/sh", "-c", venv], env, workingDir: "/", user: ROOT },
      { onOutput: () => undefined },
      within(),
    );
    if (exitCode !== 0) throw new Error(`making the venv ended with ${exitCode}`);
    const tar = pack();
    tar.entry({ name: "berth_protocol.py", mode: 0o644 }, await readFile(PROTOCOL));
    for (const [module, source] of Object.entries(files)) {
      tar.entry({ name: `${module}.py`, mode: 0o644 }, source);
    }
    tar.finalize();
    await engine.putArchive(id, "/plugin", Readable.from(tar), within());
    const reference = `${name}:plugin`;
    const commit = { reference, labels, env, command: ["/bin/false"], workingDir: "/plugin", user: ROOT };
    await engine.commit(id, commit, within());
    return reference;
  } finally {
    await engine.removeContainer(id, within());
  }
}
