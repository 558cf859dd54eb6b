import { expect, test } from "vitest";
import { formatSource, Source, sourceMeta } from "./source.ts";

const IDENTIFIER = `acme/echo:1.0.0@${"a".repeat(64)}`;
const GITHUB = { type: "github", repo: "acme/echo", release: "v1.0.0", asset: "echo.difypkg" } as const;
const URL_SOURCE = {
  type: "url",
  url: "https://a.example/echo?signature=hush",
  sha256: "b".repeat(64),
} as const;

test("an installation stores the parts of its source that the platform reads, and nothing secret", () => {
  expect(sourceMeta({ type: "marketplace", identifier: IDENTIFIER })).toEqual({
    plugin_unique_identifier: IDENTIFIER,
  });
  expect(sourceMeta(GITHUB)).toEqual({ repo: "acme/echo", version: "v1.0.0", package: "echo.difypkg" });
  expect(sourceMeta(URL_SOURCE)).toEqual({ url: "https://a.example/echo", sha256: URL_SOURCE.sha256 });
  expect(formatSource(URL_SOURCE)).toBe("https://a.example/echo");
});

test("a digest is accepted in upper and lower case", () => {
  expect(Source.parse({ ...URL_SOURCE, sha256: "B".repeat(64) })).toEqual(URL_SOURCE);
});

test.each([
  { type: "ftp" },
  { type: "marketplace", identifier: "echo" },
  { type: "marketplace", identifier: `acme/../echo:1.0.0@${"a".repeat(64)}` },
  { ...GITHUB, repo: "acme" },
  { ...GITHUB, repo: "acme/.." },
  { ...GITHUB, repo: "acme/echo/more" },
  { ...GITHUB, repo: "acme?x=/echo" },
  { ...GITHUB, release: "" },
  { ...GITHUB, release: "../../../user" },
  { ...GITHUB, release: "v1\n" },
  { ...GITHUB, asset: "a/b" },
  { ...GITHUB, asset: ".." },
  { ...GITHUB, asset: "\u{d800}" },
  { ...GITHUB, more: 1 },
  { ...URL_SOURCE, url: "http://a.example/echo" },
  { ...URL_SOURCE, url: "https://me:hush@a.example/echo" },
  { ...URL_SOURCE, url: "https://a.example/a b" },
  { ...URL_SOURCE, url: "https://" },
  { ...URL_SOURCE, url: "file:///etc/passwd" },
  { ...URL_SOURCE, sha256: "b".repeat(63) },
  { type: "url", url: URL_SOURCE.url },
])("%j is not a source", (value) => {
  expect(Source.safeParse(value).success).toBe(false);
});
