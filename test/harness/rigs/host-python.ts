import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const WHERE = `import json, os, sys, sysconfig
of = sysconfig.get_config_var
shared = os.path.join(of("LIBDIR"), of("INSTSONAME")) if of("Py_ENABLE_SHARED") else None
print(json.dumps({
    "program": os.path.realpath(sys.executable),
    "library": sysconfig.get_path("stdlib"),
    "shared": shared,
    "version": "%d.%d" % sys.version_info[:2],
}))`;
const LEFT_OUT = [
  ...["test", "tests", "idlelib", "lib2to3", "tkinter", "turtledemo", "ensurepip", "pydoc_data"],
  ...["site-packages", "dist-packages", "__pycache__"],
];

export interface HostPython extends AsyncDisposable {
  readonly program: string;
  /** `3.11` */
  readonly version: string;
}

/** A copy of this machine's Python without what no test needs, in a folder of its own, as pyenv and uv have them. */
export async function copyHostPython(): Promise<HostPython> {
  const { stdout } = await run("python3", ["-I", "-c", WHERE]);
  const { program, library, shared, version } = JSON.parse(stdout) as {
    readonly program: string;
    readonly library: string;
    /** Of a Python that is linked to its library. */
    readonly shared: string | null;
    readonly version: string;
  };
  const folder = await mkdtemp(join(tmpdir(), "berth-python-"));
  await mkdir(join(folder, "bin"));
  await cp(program, join(folder, "bin", `python${version}`));
  const isLeftOut = (path: string) => path !== library && LEFT_OUT.includes(basename(path));
  await cp(library, join(folder, "lib", `python${version}`), {
    recursive: true,
    filter: (path) => !isLeftOut(path),
  });
  if (shared !== null) await cp(shared, join(folder, "lib", basename(shared)));
  return {
    program: join(folder, "bin", `python${version}`),
    version,
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true }),
  };
}
