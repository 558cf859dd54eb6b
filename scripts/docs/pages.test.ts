import { existsSync, globSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { anchorsOf, pathsNamed, relativeLinks } from "./pages.ts";

const ROOT = join(import.meta.dirname, "../..");
const PAGES = globSync(["README.md", "docs/**/*.md", "examples/**/*.md"], { cwd: ROOT }).toSorted();
const read = (path: string) => readFileSync(join(ROOT, path), "utf8");

describe("the texts that are read from a page", () => {
  const page =
    "# A `b` c: d, 1.5\n\n## Same\n\n## Same\n\n[x](y.md#z) [w](https://w) `[no](no.md)`\n```\n# no\n[no](no.md)\n```\n";

  test("include the anchors and links that GitHub finds", () => {
    expect([...anchorsOf(page)]).toEqual(["a-b-c-d-15", "same", "same-1"]);
    expect(relativeLinks(page)).toEqual(["y.md#z"]);
  });

  test("count as paths only if they begin with a folder of the repository", () => {
    expect(pathsNamed("see src/app.ts, `docs/`, (test/e2e/*.test.ts). not/src/x.ts")).toEqual([
      "src/app.ts",
      "docs/",
      "test/e2e/*.test.ts",
    ]);
  });
});

test.each(PAGES)("every relative link of %s leads to a file, and its anchor to a heading", (page) => {
  const broken = relativeLinks(read(page)).filter((link) => {
    const [path = "", anchor] = link.split("#");
    const target = path === "" ? page : join(dirname(page), path);
    if (!existsSync(join(ROOT, target))) return true;
    return anchor !== undefined && !anchorsOf(read(target)).has(anchor);
  });
  expect(broken).toEqual([]);
});

test("the index lists every page of docs", () => {
  const listed = relativeLinks(read("docs/README.md")).map((link) => join("docs", link));
  const pages = PAGES.filter((page) => page.startsWith("docs/") && page !== "docs/README.md");
  expect(listed.filter((path) => path.startsWith("docs/")).toSorted()).toEqual(pages);
});

test("the glossary has at most 30 words, each once", () => {
  const words = [...read("docs/reference/glossary.md").matchAll(/^\| (?!word |-)([^|]+) \|/gm)].map(
    ([, word]) => word,
  );
  expect(words.length).toBeGreaterThan(20);
  expect(words.length).toBeLessThanOrEqual(30);
  expect(new Set(words).size).toBe(words.length);
});

test.each(PAGES)("every path of the repository that %s names exists", (page) => {
  const missing = pathsNamed(read(page)).filter((path) => globSync(path, { cwd: ROOT }).length === 0);
  expect(missing).toEqual([]);
});

test.each(["docs/explanation/architecture.md", "docs/develop.md"])(
  "%s names its files by full paths",
  (page) => {
    expect(pathsNamed(read(page)).length).toBeGreaterThan(50);
  },
);

test("each walkthrough of the architecture page names a file once, and numbers its steps in order", () => {
  const sections = read("docs/explanation/architecture.md").split(/^## /m);
  const walks = sections
    .map((section) => section.match(/^\d+[.] .*$/gm) ?? [])
    .filter(({ length }) => length > 0);
  expect(walks.length).toBe(4);
  for (const steps of walks) {
    const files = steps.map((step) => /^(\d+)[.] `([^`]+)`/.exec(step)?.slice(1));
    expect(files.map((file) => Number(file?.[0]))).toEqual(steps.map((_, index) => index + 1));
    expect(new Set(files.map((file) => file?.[1])).size).toBe(steps.length);
  }
});

test("every page that code, scripts and examples name exists", () => {
  const files = globSync(
    ["src/**/*.ts", "scripts/*.ts", "bench/**/*.ts", "dev", "Dockerfile", "docker-compose.yml"],
    {
      cwd: ROOT,
      exclude: (path) => path.includes("generated") || path.endsWith(".test.ts"),
    },
  );
  const named = files.flatMap((file) => [...read(file).matchAll(/(?<![\w/])docs\/[\w/-]+[.]md/g)]);
  const missing = named.map(([path]) => path).filter((path) => !existsSync(join(ROOT, path)));
  expect(named.length).toBeGreaterThan(10);
  expect(missing).toEqual([]);
});
