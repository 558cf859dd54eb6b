/** Files that name dependencies in the ways in which people write them, with the installer of the runtime image. */
import { createHash } from "node:crypto";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { PackageImage } from "../../src/installation/images/build-image.ts";
import { type BuildInput, type BuildRig, openBuildRig } from "../harness/rigs/build.ts";
import { packWheel, startWheelIndex, type WheelIndex } from "../harness/servers/wheel-index.ts";

const wheel = (name: string, version = "1.0", metadata = "") => ({
  name,
  version,
  metadata,
  files: { [`${name}.py`]: `VERSION = "${version}"\n` },
});
const OWN = wheel("own", "3.0");
const OWN_FILE = "wheels/own-3.0-py3-none-any.whl";

let rig: BuildRig;
let index: WheelIndex;
let own: Buffer;
beforeAll(async () => {
  own = await packWheel(OWN);
  rig = await openBuildRig();
  index = await startWheelIndex([
    wheel("plain"),
    wheel("plain", "2.0"),
    wheel("needy", "1.0", "Requires-Dist: plain<2\n"),
  ]);
});
afterAll(async () => {
  await index[Symbol.asyncDispose]();
  await rig[Symbol.asyncDispose]();
});

const build = (dependencies: NonNullable<BuildInput["dependencies"]>): Promise<PackageImage> =>
  rig.build({ dependencies, settings: { index: { ...rig.settings.index, url: index.url } } });
/** What the installer said that it installed in the last build. */
const installed = () =>
  rig.lines
    .splice(0)
    .filter((line) => line.startsWith(" + "))
    .map((line) => line.replace(/^ \+ (\S+).*$/, "$1"));

test("a package's wheels are installed by their path and by --find-links, with -r and -c of the package", async () => {
  await build({
    "pyproject.toml": "[tool.ruff]\n",
    "requirements.txt": Buffer.from("\uFEFF-r needs/base.txt\n--find-links=./wheels\n", "utf16le"),
    "needs/base.txt": "-c limits.txt\nown\nplain\n",
    "needs/limits.txt": "plain<2\n",
    [OWN_FILE]: own,
  });
  expect(installed()).toEqual(["own==3.0", "plain==1.0"]);
  await build({ "requirements.txt": `./${OWN_FILE} ; python_version > "3"\nplain\n`, [OWN_FILE]: own });
  expect(installed()).toEqual(["own==3.0", "plain==2.0"]);
});

test("a lock installs its default groups, and the wheel of the package that it names", async () => {
  const hash = createHash("sha256").update(own).digest("hex");
  const project = `[project]
name = "x"
version = "1"
requires-python = ">=3.11"
dependencies = ["own"]
[dependency-groups]
plugin = ["plain==1.0"]
[tool.uv]
default-groups = ["plugin"]
[tool.uv.sources]
own = { path = "${OWN_FILE}" }
`;
  const lock = `version = 1
revision = 3
requires-python = ">=3.11"

[[package]]
name = "own"
version = "3.0"
source = { path = "${OWN_FILE}" }
wheels = [{ filename = "own-3.0-py3-none-any.whl", hash = "sha256:${hash}" }]

[[package]]
name = "plain"
version = "1.0"
source = { registry = "https://index.example.org/simple" }
wheels = [{ url = "https://example.org/plain-1.0-py3-none-any.whl", hash = "sha256:${index.hashes.get("plain-1.0-py3-none-any.whl")}" }]

[[package]]
name = "x"
version = "1"
source = { virtual = "." }
dependencies = [{ name = "own" }]

[package.dev-dependencies]
plugin = [{ name = "plain" }]
`;
  await build({ "pyproject.toml": project, "uv.lock": lock, [OWN_FILE]: own });
  expect(installed()).toEqual(["own==3.0", "plain==1.0"]);
  await build({ "pyproject.toml": project, [OWN_FILE]: own });
  expect(installed()).toEqual(["own==3.0", "plain==1.0"]);
});

test.each([
  ["plain==9", /^plain==9 \(requirements.txt line 2\) is required, and the index has no such version/],
  ["plian", /^plian \(requirements.txt line 2\) is required, and the index has no package of that name/],
  ["plain==1\nplain==2", /contradict each other: plain==1 \(.*line 2\) and plain==2 \(.*line 3\)/],
  ["needy\nplain>=2", /contradict each other: needy.* needs plain<2, and plain>=2 \(.*line 3\)/],
  ["plain=1", /^requirements.txt line 2: "plain=1" is not a requirement: no such comparison operator/],
])("the file is at fault for %j, with the line and what was ignored in it", async (lines, message) => {
  const failure: unknown = await build({ "requirements.txt": `--no-index\n${lines}\n` }).catch(
    (error: unknown) => error,
  );
  expect(failure).toMatchObject({
    code: "dependency_unresolvable",
    details: { field: "requirements.txt", ignored: [expect.stringMatching(/line 1: --no-index is ignored/)] },
  });
  expect(failure instanceof Error && failure.message).toMatch(message);
});
