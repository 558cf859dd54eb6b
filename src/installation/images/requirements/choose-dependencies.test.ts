import { describe, expect, test } from "vitest";
import { isFault } from "../../../domain/fault.ts";
import { chooseDependencies, type Dependencies, refuseAddress } from "./choose-dependencies.ts";
import { CONSTRAINTS_FILE, WANTED_FILE } from "./input-files.ts";

type Files = Readonly<Record<string, string | Buffer>>;

const choose = (files: Files) =>
  chooseDependencies({
    paths: Object.keys(files),
    read: async (path) => Buffer.from(files[path] ?? ""),
  });
const faultOf = async (files: Files) => {
  const error: unknown = await choose(files).catch((failure: unknown) => failure);
  if (!isFault(error)) throw new Error("it is not refused", { cause: error });
  return error;
};
const fileOf = ({ files }: Dependencies, name: string) =>
  files.find((file) => file.name === name)?.content.toString();
const linesOf = async (files: Files) =>
  fileOf(await choose(files), WANTED_FILE)
    ?.trimEnd()
    .split("\n");
const project = (...lines: string[]) => ['[project]\nname = "x"\nversion = "1"', ...lines].join("\n");

describe("what a package installs comes from", () => {
  test("its lock before everything else", async () => {
    const files = { "pyproject.toml": project('dependencies = ["six"]'), "requirements.txt": "plain" };
    expect((await choose({ ...files, "uv.lock": "version = 1" })).kind).toBe("lock");
    expect(await linesOf(files)).toEqual(["six"]);
    expect((await choose({ "requirements.txt": "# nothing\n" })).kind).toBe("none");
    expect((await choose({ "main.py": "" })).kind).toBe("none");
  });

  test.each([
    ["only configures a tool", "[tool.ruff]\nline-length = 100\n"],
    ["names no dependencies", project()],
    ["says that setuptools reads them from there", project('dynamic = ["dependencies"]')],
  ])("requirements.txt where pyproject.toml %s", async (_, pyproject) => {
    expect(await linesOf({ "pyproject.toml": pyproject, "requirements.txt": "plain==1" })).toEqual([
      "plain==1",
    ]);
  });

  test("the files that pyproject.toml gives setuptools for its dependencies", async () => {
    const dynamic = '[tool.setuptools.dynamic]\ndependencies = { file = ["needs/base.in"] }';
    const pyproject = project('dynamic = ["dependencies"]', dynamic);
    expect(await linesOf({ "pyproject.toml": pyproject, "needs/base.in": "plain" })).toEqual(["plain"]);
    expect(await faultOf({ "pyproject.toml": pyproject })).toMatchObject({
      details: { field: "pyproject.toml", value: "needs/base.in" },
    });
  });

  test("the default groups, with those that they include, and never the group dev", async () => {
    const groups = `[dependency-groups]
plugin = ["six", { include-group = "more" }]
more = ["plain"]
dev = ["pytest"]
[tool.uv]
default-groups = ["dev", "plugin"]`;
    expect(await linesOf({ "pyproject.toml": project("dependencies = []", groups) })).toEqual([
      "six",
      "plain",
    ]);
    const locked = await choose({ "pyproject.toml": project(groups), "uv.lock": "" });
    expect(locked.options).toEqual(["--group=plugin"]);
  });

  test("[tool.uv.sources], for what they name", async () => {
    const sources = '[tool.uv.sources]\nThe_Lib = { path = "wheels/the_lib-1.0-py3-none-any.whl" }';
    const files = {
      "pyproject.toml": project(`dependencies = ["the-lib[more]>=1 ; python_version > '3'"]`, sources),
      "wheels/the_lib-1.0-py3-none-any.whl": "a wheel",
    };
    expect(await linesOf(files)).toEqual([
      "the-lib[more] @ file:///build/wheels/the_lib-1.0-py3-none-any.whl ; python_version > '3'",
    ]);
  });
});

describe("pyproject.toml is at fault, by its name, where", () => {
  test.each([
    ["it has no version", '[project]\nname = "x"\n', /\[project\] has no version/],
    ["its name is none", '[project]\nname = "my plugin"\nversion = "1"\n', /project\.name is malformed/],
    ["it is not TOML", "[project\n", /is not TOML/],
    ["a default group is missing", project('[tool.uv]\ndefault-groups = ["plugin"]'), /no dependency group/],
    [
      "a group includes itself",
      project('[dependency-groups]\na = [{ include-group = "a" }]\n[tool.uv]\ndefault-groups = ["a"]'),
      /includes itself/,
    ],
    ["only a backend knows its dependencies", project('dynamic = ["dependencies"]'), /are dynamic/],
    ["its dependencies are poetry's", "[tool.poetry.dependencies]\nsix = '^1'\n", /tool\.poetry/],
  ])("%s", async (_, pyproject, message) => {
    const fault = await faultOf({ "pyproject.toml": pyproject });
    expect(fault).toMatchObject({ code: "dependency_unresolvable", details: { field: "pyproject.toml" } });
    expect(fault.message).toMatch(message);
    expect(fault.details.accepted).toBeTypeOf("string");
  });
});

test("nothing of [tool.uv] reaches the installer, in whatever form it is written", async () => {
  const pyproject = `tool.uv.index-url = "https://evil.example"
tool."uv".sources = { six = { path = "/etc" } }
${project("[tool.uvicorn]", "kept = true")}`;
  const text = fileOf(await choose({ "pyproject.toml": pyproject, "uv.lock": "" }), "pyproject.toml");
  expect(text).not.toMatch(/evil|etc/);
  expect(text).toContain("kept = true");
  const unlocked = project('dependencies = ["six"]', '[tool.uv]\nindex-url = "https://evil.example"');
  expect((await choose({ "pyproject.toml": unlocked })).warnings[0]).toMatch(
    /index-url of \[tool.uv\] is ignored/,
  );
});

describe("requirements.txt", () => {
  test("cannot choose an index, and gets a warning with the line", async () => {
    const read = await choose({
      "requirements.txt": "--no-index --index-url https://evil.example/simple\nsix==1.0 # why\n",
    });
    expect(fileOf(read, WANTED_FILE)).toBe("six==1.0\n");
    expect(read.warnings).toEqual([
      "requirements.txt line 1: --no-index is ignored; the operator chooses where wheels come from.",
      "requirements.txt line 1: --index-url is ignored; the operator chooses where wheels come from.",
    ]);
  });

  test("keeps its hashes and markers, and leaves out other options behind a requirement", async () => {
    const requirements =
      'six==1.0 ; python_version < "4" \\\n    --hash=sha256:aa --global-option="x y"\nplain\n';
    const [six, plain] = (await choose({ "requirements.txt": requirements })).requirements;
    expect(six?.text).toMatch(/^six==1.0 ; python_version < "4"\s+--hash=sha256:aa$/);
    expect(plain).toEqual({ text: "plain", origin: { file: "requirements.txt", line: 3 } });
  });

  test("includes files and constraints of the package, once each, beside themselves or from its root", async () => {
    const read = await choose({
      "requirements.txt": "-r needs/all.txt\n-c limits.txt\n",
      "needs/all.txt": "-rbase.txt\n--requirement=../requirements.txt\n",
      "needs/base.txt": "six\n",
      "limits.txt": "six<2\n",
    });
    expect(fileOf(read, WANTED_FILE)).toBe("six\n");
    expect(fileOf(read, CONSTRAINTS_FILE)).toBe("six<2\n");
    expect(read.requirements[0]?.origin).toEqual({ file: "needs/base.txt", line: 1 });
  });

  test("takes wheels of the package, by their path and by --find-links", async () => {
    const wheel = "wheels/the_lib-1.0-py3-none-any.whl";
    const read = await choose({
      "requirements.txt": `--no-index --find-links=./wheels/\n./${wheel}\nthe_lib[x] @ file:${wheel} ; python_version > "3"\n`,
      [wheel]: "a wheel",
      "wheels/deeper/other-1.0-py3-none-any.whl": "",
    });
    expect(read.options).toEqual(["--find-links=file:///build/wheels"]);
    expect(fileOf(read, WANTED_FILE)).toBe(
      `file:///build/${wheel}\nthe_lib[x] @ file:///build/${wheel} ; python_version > "3"\n`,
    );
    expect(read.files.map(({ name }) => name)).toEqual([WANTED_FILE, wheel]);
  });

  test("may ask for releases before the final one, and for hashes of all", async () => {
    const { options } = await choose({ "requirements.txt": "--pre\n--require-hashes\nsix\n" });
    expect(options).toEqual(["--prerelease=allow", "--require-hashes"]);
  });

  test.each([
    ["-r ../other.txt", /outside the package/, 1],
    ["six\n-c /etc/passwd", /outside the package/, 2],
    ["-f ../../wheels", /outside the package/, 1],
    ["/wheels/x-1.0-py3-none-any.whl", /outside the package/, 1],
    ["-r absent.txt", /has no file or folder "absent.txt"/, 1],
    ["-r https://example.org/r.txt", /names no file of the package/, 1],
    ["-e .", /is the package itself/, 1],
    ["-f requirements.txt", /is not a folder/, 1],
  ])("with %j is refused with its line and what is accepted", async (text, message, line) => {
    const fault = await faultOf({ "requirements.txt": text });
    expect(fault).toMatchObject({
      code: "dependency_unresolvable",
      details: { field: "requirements.txt", line },
    });
    expect(fault.message).toMatch(message);
    expect(fault.details.accepted).toMatch(/below the package's folder/);
  });

  const variable = (name: string) => `$\{${name}}`;
  test.each([
    `x @ https://example.org/${variable("UV_DEFAULT_INDEX")}/x-1-py3-none-any.whl`,
    `x @ git+https://example.org/${variable("HOME")}`,
  ])("that would put a variable of the installer into an address is refused: %s", async (requirement) => {
    const fault = await faultOf({ "requirements.txt": requirement });
    expect(fault).toMatchObject({
      code: "dependency_unresolvable",
      message: expect.stringMatching(/a variable/),
    });
  });

  const CAFE = "six # café\n";
  const utf16 = Buffer.from(`\uFEFF${CAFE}`, "utf16le");
  const utf32 = Buffer.alloc(4 * (CAFE.length + 1));
  for (const [at, char] of [..."\uFEFF", ...CAFE].entries())
    utf32.writeUInt32LE(char.codePointAt(0) ?? 0, at * 4);
  test.each([
    ["UTF-8", Buffer.from(CAFE)],
    ["UTF-8 with a mark", Buffer.from(`\uFEFF${CAFE}`)],
    ["UTF-16 in little-endian order", utf16],
    ["UTF-16 in big-endian order", Buffer.from(utf16).swap16()],
    ["UTF-32 in little-endian order", utf32],
    ["UTF-32 in big-endian order", Buffer.from(utf32).swap32()],
  ])("is read in %s", async (_, bytes) => {
    expect(await linesOf({ "requirements.txt": bytes })).toEqual(["six"]);
  });

  test("in another encoding is refused with those that are accepted", async () => {
    const fault = await faultOf({ "requirements.txt": Buffer.from(CAFE, "latin1") });
    expect(fault.message).toMatch(/^requirements.txt: .*UTF-8, UTF-16 or UTF-32 .*byte-order mark/);
  });
});

test.each([
  ["x @ git+https://example.org/x", "source_build_refused"],
  ["git+https://example.org/x@v1#egg=x", "source_build_refused"],
  ["-e git+https://example.org/x", "source_build_refused"],
  ["x @ https://example.org/x-1.tar.gz", "source_build_refused"],
  ["./lib", "source_build_refused"],
  ["x[extra] @ https://example.org/x-1-py3-none-any.whl#sha256=1", "dependency_unresolvable"],
  ["./x-1-py3-none-any.whl", undefined],
  ["httpx[http2]==0.27 ; sys_platform == 'linux'", undefined],
])("an operator who refuses source builds gets for the requirement %s %s", async (requirement, code) => {
  const { requirements } = await choose({
    "requirements.txt": `six>=1.0\n${requirement}\n`,
    "lib/setup.py": "",
    "x-1-py3-none-any.whl": "",
  });
  let fault: unknown;
  try {
    for (const line of requirements) refuseAddress(line);
  } catch (error) {
    fault = error;
  }
  expect(isFault(fault) ? [fault.code, fault.details["line"]] : fault).toEqual(
    code === undefined ? undefined : [code, 2],
  );
});
