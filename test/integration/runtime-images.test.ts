/**
 * Runtime images of several Pythons side by side, on an engine of their own: on the machine's, other tests would get
 * them. That engine has no network. What fetches from Debian's mirror takes minutes, so only the soak run does.
 */
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { VARIANT_PACKAGES } from "../../src/runtime/launch/variant-table.ts";
import { Scope } from "../../src/util/scope.ts";
import { type BuildRig, openBuildRig } from "../harness/rigs/build.ts";
import { copyHostPython, type HostPython } from "../harness/rigs/host-python.ts";
import { makeOwnEngine, type OwnEngine } from "../harness/rigs/own-engine.ts";
import { buildVariant } from "../harness/rigs/variant.ts";
import { length } from "../harness/samples/lengths.ts";

const SCRIPTS = join(import.meta.dirname, "../../runtime-images");
const SAY = 'import audioop, ssl, sys; print("%d.%d" % sys.version_info[:2], sys.base_prefix)\n';

const scope = new Scope();
let own: OwnEngine;
let python: HostPython;
let rig: BuildRig;
beforeAll(async () => {
  python = scope.use(await copyHostPython());
  own = scope.use(await makeOwnEngine({}));
  rig = scope.use(await openBuildRig());
  await script("python/from-host", python.program);
});
afterAll(() => scope.close());

const env = () => ({ ...process.env, DOCKER_HOST: `unix://${own.socketPath}` });
const script = async (name: string, ...args: string[]) =>
  (await promisify(execFile)(join(SCRIPTS, name), args, { env: env() })).stdout;
const docker = async (...args: string[]) =>
  (await promisify(execFile)("docker", args, { env: env() })).stdout;

/** What the program of a package says that asks for this Python. */
async function run(asked: string): Promise<string> {
  const { imageRef } = await rig.build({ python: asked, engine: own.engine, files: { "main.py": SAY } });
  const flags = ["--rm", "--network", "none", "--user", "100000:100000"];
  return await docker("run", ...flags, imageRef, "/opt/venv/bin/python", "/plugin/main.py");
}

test("a package runs on the copied Python of this machine if it asks for that one, and on Debian's if it asks for 3.13", async () => {
  expect(await run(python.version)).toBe(`${python.version} /usr/local\n`);
  expect(await run("3.13")).toBe(python.version === "3.13" ? "3.13 /usr/local\n" : "3.13 /usr\n");
});

test("a Python that is copied already is kept; one that belongs to the system is refused", async () => {
  expect(await script("python/from-host", python.program)).toContain(
    `berth-python:5-${python.version} is there`,
  );
  const system = script("python/from-host", "/usr/bin/python3");
  await expect(system).rejects.toThrow(
    "belongs to the system, in /usr: name a Python with a folder of its own",
  );
});

const ONLY_IN_SOAK = Array.from({ length: length({ short: 0, soak: 1 }) }, () => []);

test.each(ONLY_IN_SOAK)(
  "a package that asks for Python 3.11 runs on Debian's, where that was built",
  async () => {
    await script("python/build", "--debootstrap", "--python", "3.11");
    expect(await run("3.11")).toBe("3.11 /usr\n");
  },
);

test.each(ONLY_IN_SOAK)("the variant python-full has every library and program of its list", async () => {
  const packages = await readFile(join(SCRIPTS, "python-full/packages"), "utf8");
  await using variant = await buildVariant({ packages });
  const parts = VARIANT_PACKAGES.flatMap((one) => (one.variant === "python-full" ? one.parts : []));
  const look = `import ctypes, shutil, sys
for part in sys.argv[1:]:
    ctypes.CDLL(part) if ".so." in part else shutil.which(part) or print(part)
`;
  const python = ["/usr/local/bin/python3", "-c", look];
  const missing = await promisify(execFile)("docker", ["run", "--rm", variant.image, ...python, ...parts]);
  expect(missing.stdout).toBe("");
});
