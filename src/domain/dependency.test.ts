import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseGithubPattern, parseMarketplacePattern } from "./dependency.ts";

describe("the patterns of dependencies", () => {
  it.each(["1.0.0", "^1.0.0", "~1.0.0", "1.x.x", "X.1.2", "1.0.0-beta", "1.0.0-2.0.0"])(
    "accept the version %s",
    (version) => {
      expect(parseMarketplacePattern(`acme/echo:${version}`)).toEqual({
        type: "marketplace",
        organization: "acme",
        plugin: "echo",
        version,
      });
      expect(parseGithubPattern(`acme/echo:${version}/*.difypkg`)).toEqual({
        type: "github",
        repo: "acme/echo",
        release: version,
        asset: "*.difypkg",
      });
    },
  );

  it.each(["1.0", "1.0.0.1", "1.0.0-", "", "latest", "1.0.0\n"])("refuse the version %j", (version) => {
    expect(parseMarketplacePattern(`acme/echo:${version}`)).toBeUndefined();
    expect(parseGithubPattern(`acme/echo:${version}/a.difypkg`)).toBeUndefined();
  });

  it.each(["Acme/echo:1.0.0", "echo:1.0.0", "acme/echo/1.0.0", "acme/echo:1.0.0/", "acme/e:1.0.0/a/b"])(
    "refuse %j",
    (text) => {
      expect(parseMarketplacePattern(text)).toBeUndefined();
      expect(parseGithubPattern(text)).toBeUndefined();
    },
  );

  it("split any text into its parts or return nothing", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-zX0-9./:^~-]{0,40}$/)), (text) => {
        const marketplace = parseMarketplacePattern(text);
        if (marketplace?.type === "marketplace") {
          const { organization, plugin, version } = marketplace;
          expect(`${organization}/${plugin}:${version}`).toBe(text);
        }
        const github = parseGithubPattern(text);
        if (github?.type === "github") expect(`${github.repo}:${github.release}/${github.asset}`).toBe(text);
      }),
    );
  });
});
