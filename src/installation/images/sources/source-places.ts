/** Where sources and what is built of them lie, in the container that fetches and on the host. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

/** In the container that fetches; on the host it is a folder of one build. */
export const SOURCES_PATH = "/sources";
/** Wheels that were built, below it; the installer finds them beside the index. */
export const WHEELS_FOLDER = "wheels";
/** In the container that builds: one source, and what its backend requires, both read-only. */
export const SOURCE_PATH = "/source";
export const ENVIRONMENT_PATH = "/environment";
export const WORK_PATH = "/work";

const SCRIPTS = join(import.meta.dirname, "../../../../runtime-images/python-build");

/** The text of a script that is given to the interpreter of a container. */
export async function readScript(name: "index.py" | "backend.py"): Promise<string> {
  return await readFile(join(SCRIPTS, name), "utf8");
}
