import { describe, expect, test } from "vitest";
import { isFault } from "../../../domain/fault.ts";
import { chooseDependencies, type DependencyFiles, refuseAddresses } from "./requirements.ts";

const NONE: DependencyFiles = { pyproject: undefined, lock: undefined, requirements: undefined };
const choose = (files: Partial<Record<keyof DependencyFiles, string>>) =>
  chooseDependencies({
    ...NONE,
    ...Object.fromEntries(Object.entries(files).map(([name, text]) => [name, Buffer.from(text)])),
  });
const textOf = (files: Partial<Record<keyof DependencyFiles, string>>) =>
  choose(files)
    .files.map(({ content }) => content.toString())
    .join("\n");
const codeOf = (work: () => unknown) => {
  try {
    work();
  } catch (error) {
    return isFault(error) ? error.code : error;
  }
  return undefined;
};

test("a lock wins over everything else", () => {
  expect(choose({ pyproject: "[project]", lock: "version = 1", requirements: "six" }).kind).toBe("lock");
  expect(choose({ pyproject: "[project]", requirements: "six" }).kind).toBe("pyproject");
  expect(choose({ pyproject: "[tool.black]", requirements: "six" }).kind).toBe("requirements");
  expect(choose({ requirements: "# nothing\n" }).kind).toBe("none");
  expect(choose({}).kind).toBe("none");
});

test("every [tool.uv] table of a project file is dropped, and nothing else", () => {
  const pyproject = [
    "[project]",
    'name = "x"',
    "[tool.uv]",
    'index-url = "https://evil.example"',
    "[[tool.uv.index]]",
    'url = "https://evil.example"',
    '[tool."uv".sources]',
    'six = { path = "/etc" }',
    "[tool.uvicorn]",
    "kept = true",
  ].join("\n");
  expect(textOf({ pyproject, lock: "" }).trim()).toBe('[project]\nname = "x"\n[tool.uvicorn]\nkept = true');
});

describe("requirements.txt", () => {
  test("cannot choose an index, and gets a warning", () => {
    const read = choose({
      requirements: "--index-url https://evil.example/simple\nsix==1.0 # why\n--find-links .\n",
    });
    expect(read.files[0]?.content.toString()).toBe("six==1.0\n");
    expect(read.warnings).toHaveLength(2);
  });

  test("keeps its hashes and markers", () => {
    const requirements = 'six==1.0 ; python_version < "4" \\\n    --hash=sha256:aa\n';
    expect(textOf({ requirements })).toMatch(/six==1.0 ; python_version < "4"\s+--hash=sha256:aa/);
  });

  test.each(["-r other.txt", "-e .", "--constraint c.txt"])("with the line %s is refused", (line) => {
    expect(codeOf(() => choose({ requirements: line }))).toBe("dependency_unresolvable");
  });
});

test.each([
  ["x @ git+https://example.org/x", "source_build_refused"],
  ["x @ https://example.org/x-1.tar.gz", "source_build_refused"],
  ["./local", "source_build_refused"],
  ["/abs/local", "source_build_refused"],
  ["x[extra] @ https://example.org/x-1-py3-none-any.whl#sha256=1", "dependency_unresolvable"],
  ["six>=1.0", undefined],
  ["httpx[http2]==0.27 ; sys_platform == 'linux'", undefined],
])("the requirement %s gives %s", (requirement, code) => {
  expect(codeOf(() => refuseAddresses(requirement))).toBe(code);
});
