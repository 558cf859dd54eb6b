/** Requirements without a wheel: sources from an index, an address, the package and a repository, built in a container. */

import { Readable } from "node:stream";
import { pack } from "tar-stream";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { Removals, withBuildContainer } from "../../src/installation/images/build/build-container.ts";
import { listRuntimeImages } from "../../src/runtime/launch/runtime-image.ts";
import { type BuildInput, type BuildRig, openBuildRig } from "../harness/rigs/build.ts";
import { treeOf } from "../harness/samples/source-trees.ts";
import { startWheelIndex, type TestWheel, type WheelIndex } from "../harness/servers/wheel-index.ts";

/** Compiles a module in C with what the build image has, and packs it for this Python and machine alone. */
const C_BACKEND = `
import os, subprocess, sysconfig, zipfile

def build_wheel(out, config_settings=None, metadata_directory=None):
    module = "native" + sysconfig.get_config_var("EXT_SUFFIX")
    subprocess.check_call(["cc", "-shared", "-fPIC", "-I", sysconfig.get_path("include"), "native.c", "-o", module])
    python = "cp" + sysconfig.get_config_var("py_version_nodot")
    tag = python + "-" + python + "-" + sysconfig.get_platform().replace("-", "_").replace(".", "_")
    info = "native-1.0.dist-info"
    with zipfile.ZipFile(os.path.join(out, "native-1.0-" + tag + ".whl"), "w") as wheel:
        wheel.write(module)
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\\nName: native\\nVersion: 1.0\\n")
        wheel.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: false\\nTag: {tag}\\n")
        wheel.writestr(f"{info}/RECORD", f"{module},,\\n{info}/METADATA,,\\n{info}/WHEEL,,\\n{info}/RECORD,,\\n")
    return "native-1.0-" + tag + ".whl"
`;
const C_MODULE = `
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *none) { return PyLong_FromLong(6 * 7); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, ""}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "native", "", -1, methods};
PyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&module); }
`;
const source = (name: string, version = "1.0", backend?: string): TestWheel => ({
  name,
  version,
  isSource: true,
  files: treeOf(name, version, backend),
});
const wheel = (name: string): TestWheel => ({
  name,
  version: "1.0",
  files: { [`${name}.py`]: "HERE = True\n" },
});

let rig: BuildRig;
let index: WheelIndex;
beforeAll(async () => {
  rig = await openBuildRig();
  index = await startWheelIndex([
    wheel("plain"),
    wheel("helper"),
    source("ranged"),
    source("ranged", "2.0"),
    source("pinned"),
    source("direct"),
    {
      name: "native",
      version: "1.0",
      isSource: true,
      files: {
        "pyproject.toml": '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n',
        "backend.py": C_BACKEND,
        "native.c": C_MODULE,
      },
    },
    source("broken", "1.0", "raise SystemExit('there is no compiler here')\n"),
    source("endless", "1.0", "import time\nprint('WAITS', flush=True)\nwhile True: time.sleep(1)\n"),
    source("hungry", "1.0", "b'x' * (1 << 30)\n"),
    source("greedy", "1.0", "open('/work/large', 'wb').write(bytes(40 << 20))\n"),
  ]);
});
afterAll(async () => {
  await index[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

beforeEach(() => void rig.lines.splice(0));

const build = ({ settings, ...input }: BuildInput, signal?: AbortSignal) =>
  rig.build(
    { ...input, settings: { index: { ...rig.settings.index, url: index.url }, ...settings } },
    signal,
  );
const failureOf = (input: BuildInput) => build(input).catch((error: unknown) => error);
/** What the installer and the backends said since the last look. */
function said() {
  const lines = rig.lines.splice(0);
  return {
    all: lines.join("\n"),
    built: lines.flatMap((line) => /^BUILT (\S+ \S+)/.exec(line)?.[1] ?? []),
    installed: lines.flatMap((line) => /^ \+ ([^=\s]+)/.exec(line)?.[1] ?? []).sort(),
  };
}
const hashOf = (name: string) => index.hashes.get(`${name}-1.0.tar.gz`) ?? "";

async function buildContainers(): Promise<readonly string[]> {
  const labels = { "berth.instance": rig.instanceId };
  return (await rig.engine.listContainers(labels, AbortSignal.timeout(10_000))).map(({ name }) => name);
}

describe("a requirement without a wheel", () => {
  test("is built in the version that fits, alone, without a network, the index's password or a place to write", async () => {
    await build({ requirements: "ranged>=1,<2\nplain\n" });
    const { all, built, installed } = said();
    expect(built).toEqual(["ranged 1.0"]);
    expect(installed).toEqual(["plain", "ranged"]);
    expect(all).toMatch(/BUILT .* uid 65534 .* \['lo'\]/);
    expect(all).not.toMatch(/sees .*'(?:cache|build|sources)'/);
    expect(all).not.toMatch(/WROTE/);
    expect(all).toMatch(/ENVIRONMENT \{/);
    expect(all).not.toMatch(/UV_|PROXY|wheels\/simple/);
    expect(all).not.toContain(index.password);
    expect(await buildContainers()).toEqual([]);
  });

  test("in C is compiled in the build image, and runs in the package's, which has no compiler", async () => {
    const image = await build({ requirements: "native\n" });
    expect(said().installed).toEqual(["native"]);
    const script = "import native, shutil; print(native.answer(), shutil.which('cc'))";
    expect(await rig.runIn(image.imageRef, ["/opt/venv/bin/python", "-c", script])).toBe("42 None");
  });

  test("is built once for each content, whichever package asks for it", async () => {
    await build({ requirements: "ranged<2\n" });
    expect(said()).toMatchObject({ built: [], installed: ["plain", "ranged"] });
  });

  test("with a hash that is not that of the source is refused", async () => {
    const requirements = `pinned==1.0 --hash=sha256:${"0".repeat(64)}\n`;
    expect(await failureOf({ requirements })).toMatchObject({
      code: "dependency_hash_mismatch",
      details: { value: hashOf("pinned") },
    });
  });

  test("in a lock is built as the lock pins it", async () => {
    const project =
      '[project]\nname = "x"\nversion = "1"\nrequires-python = ">=3.11"\ndependencies = ["pinned"]\n';
    const lock = `version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "pinned"
version = "1.0"
source = { registry = "https://index.example.org/simple" }
sdist = { url = "https://example.org/pinned-1.0.tar.gz", hash = "sha256:${hashOf("pinned")}" }

[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "pinned" }]
`;
    await build({ dependencies: { "pyproject.toml": project, "uv.lock": lock } });
    expect(said()).toMatchObject({ built: ["pinned 1.0"], installed: ["pinned"] });
  });

  test("is refused by policy, with what it would need", async () => {
    const settings = { sourceBuilds: "refuse" } as const;
    for (const requirements of ["ranged>=2\n", "x @ git+https://example.org/x\n", "./lib\n"]) {
      const dependencies = Object.fromEntries(
        Object.entries(treeOf("lib", "1.0")).map(([path, text]) => [`lib/${path}`, text]),
      );
      expect(await failureOf({ requirements, dependencies, settings })).toMatchObject({
        code: "source_build_refused",
        message: expect.stringContaining("BERTH_SOURCE_BUILDS"),
      });
    }
  });
});

test("an image with a requirement that was built is refused by policy too, and one without is not", async () => {
  const [built, plain] = ["b".repeat(64), "c".repeat(64)];
  await build({ requirements: "ranged<2\n", checksum: built });
  await build({ requirements: "plain\n", checksum: plain });
  const settings = { sourceBuilds: "refuse" } as const;
  expect(await failureOf({ requirements: "ranged<2\n", checksum: built, settings })).toMatchObject({
    code: "source_build_refused",
    details: { value: "ranged==1.0" },
  });
  const image = await build({ requirements: "plain\n", checksum: plain, settings });
  expect(image.built).toBe(false);
});

test("a folder of the package and an archive at an address are built, and a wheel at an address is installed", async () => {
  const dependencies = Object.fromEntries(
    Object.entries(treeOf("lib", "3.0")).map(([path, text]) => [`parts/lib/${path}`, text]),
  );
  const files = index.url.replace("/simple", "/files");
  const address = `${files}/direct-1.0.tar.gz#sha256=${hashOf("direct")}`;
  await build({
    requirements: `-e ./parts/lib\ndirect @ ${address} ; python_version > "3"\nhelper @ ${files}/helper-1.0-py3-none-any.whl\n`,
    dependencies,
  });
  const { all, built, installed } = said();
  expect(built).toEqual(["lib 3.0", "direct 1.0"]);
  expect(installed).toEqual(["direct", "helper", "lib", "plain"]);
  expect(all).not.toContain(index.password);
});

describe("a repository", () => {
  const GIT = "x @ git+https://git.example.org/x@v1#subdirectory=part\n";

  test("needs the build image, and the error says the command that makes it", async () => {
    const engine: Engine = {
      ...rig.engine,
      listImages: async (labels, signal) =>
        labels["berth.kind"] === "build-image" ? [] : await rig.engine.listImages(labels, signal),
    };
    const failure = await failureOf({ requirements: GIT, engine });
    expect(failure).toMatchObject({
      code: "source_build_refused",
      message: expect.stringContaining("runtime-images/python-build/build"),
    });
  });

  test("is cloned in the build image, of which only git runs, and its part is built", async () => {
    const engine: Engine = { ...rig.engine, listImages: withGit(await imageWithGit()) };
    await build({ requirements: GIT, engine });
    const { all, built } = said();
    expect(built).toEqual(["x 5.0"]);
    expect(all).toContain("clone --quiet --no-checkout -- https://git.example.org/x /source/tree");
    expect(all).toContain("protocols https:http");
    expect(all).not.toMatch(/UV_/);
  });

  /** A double of git, which no runtime image has: it makes the tree that a clone would bring. */
  async function imageWithGit(): Promise<string> {
    const git = `#!/bin/sh
echo "git $*, protocols $GIT_ALLOW_PROTOCOL" >&2
case $1 in
  clone)
    mkdir -p /source/tree/part && cd /source/tree/part
${Object.entries(treeOf("x", "5.0"))
  .map(([path, text]) => `    cat >${path} <<'END'\n${text}\nEND`)
  .join("\n")}
    ;;
  rev-parse)
    case $* in *origin/*) exit 1 ;; esac
    echo ${"a".repeat(40)}
    ;;
esac
`;
    const signal = AbortSignal.timeout(60_000);
    const [runtime] = await listRuntimeImages(rig.engine, signal);
    const limits = rig.settings.limits;
    const container = {
      name: `berth-${rig.instanceId}-git`,
      image: runtime?.id ?? "",
      command: ["/bin/true"],
      network: "none",
      mounts: [],
      labels: { "berth.instance": rig.instanceId, "berth.kind": "build" },
      user: "0:0",
    };
    await using removals = new Removals();
    return await withBuildContainer({ ...rig.deps, limits, removals }, container, signal, async (id) => {
      const tar = pack();
      tar.entry({ name: "usr/local/bin/git", mode: 0o755 }, git);
      tar.finalize();
      await rig.engine.putArchive(id, "/", Readable.from(tar), signal);
      const { labels } = container;
      const reference = `berth-${rig.instanceId}/git:1`;
      const spec = { reference, labels, env: {}, command: ["/bin/true"], workingDir: "/", user: "0:0" };
      return await rig.engine.commit(id, spec, signal);
    });
  }

  /** Answers with that image where a build image is asked for. */
  function withGit(id: string): Engine["listImages"] {
    return async (labels, signal) => {
      const images = await rig.engine.listImages(labels, signal);
      if (labels["berth.kind"] !== "build-image") return images;
      const [runtime] = await listRuntimeImages(rig.engine, signal);
      return runtime === undefined ? [] : [{ ...runtime, id }];
    };
  }
});

describe("a source build fails", () => {
  test("with the backend's last line", async () => {
    expect(await failureOf({ requirements: "broken\n" })).toMatchObject({
      code: "build_failed",
      message: expect.stringContaining("broken==1.0 from source failed: there is no compiler here"),
    });
    expect(await buildContainers()).toEqual([]);
  });

  test("where it writes more than the limits of builds", async () => {
    const limits = { ...rig.settings.limits, diskBytes: 32 << 20 };
    expect(await failureOf({ requirements: "greedy\n", settings: { limits } })).toMatchObject({
      code: "build_disk_full",
    });
    expect(await failureOf({ requirements: "hungry\n" })).toMatchObject({ code: "build_out_of_memory" });
  });

  test("with the reason of who ended it, and leaves no container", async () => {
    const ended = new AbortController();
    const building = build({ requirements: "endless\n" }, ended.signal).catch((error: unknown) => error);
    await expect.poll(() => rig.lines.join("\n"), { timeout: 30_000, interval: 20 }).toContain("WAITS");
    const reason = new Error("cancelled");
    ended.abort(reason);
    expect(await building).toBe(reason);
    expect(await buildContainers()).toEqual([]);
  });
});
