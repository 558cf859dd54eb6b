import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readConfig, redactedSettings } from "./config.ts";

describe("readConfig", () => {
  test("an empty environment gives the defaults, in the units that the code uses", () => {
    const { settings, limits, dataFolder } = readConfig({});
    expect(settings.BERTH_PORT).toBe(5002);
    expect(settings.DATABASE_URL).toBeUndefined();
    expect(dataFolder).toBe(`${process.cwd()}/data`);
    expect(limits.memoryBytesFloor).toBe(268_435_456);
    expect(limits.ceiling).toMatchObject({ cpuMillis: 1000, timeoutMs: 600_000, concurrencyMax: 1000 });
  });

  test("an empty value counts as not set", () => {
    expect(readConfig({ BERTH_PORT: "", REDIS_URL: "" }).settings.BERTH_PORT).toBe(5002);
  });

  test("all problems are reported together, each with its value and what is accepted", () => {
    const read = () => readConfig({ BERTH_PORT: "-1", BERTH_ISOLATION: "none", BERTH_PROT: "1" });
    expect(read).toThrow(/BERTH_PORT is "-1"; accepted: a whole number from 0 to 65535/);
    expect(read).toThrow(/BERTH_ISOLATION is "none"; accepted: tenant, shared/);
    expect(read).toThrow(/BERTH_PROT is not a setting of Berth/);
  });

  test.each([
    ["BERTH_PROT", "BERTH_PORT, or another of the names in docs/reference/settings.md"],
    ["BERTH_REDIS_URL", "REDIS_URL, or another of"],
    ["BERTH_ADMIN_KEYS_FILE", "BERTH_ADMIN_KEY_FILE, BERTH_DIFY_KEY_FILE, or another of"],
    ["BERTH_NOTHING_LIKE_IT", "the names in docs/reference/settings.md"],
  ])("a misspelt name, %s, is reported with the nearest names and without its value", (name, accepted) => {
    let message = "";
    try {
      readConfig({ [name]: "hunter2" });
    } catch (error) {
      message = String(error);
    }
    expect(message).toContain(`${name} is not a setting of Berth; accepted: ${accepted}`);
    expect(message).not.toContain("hunter2");
    expect(message.length).toBeLessThan(300);
  });

  test("a variable of the image build is not reported as a misspelt setting", () => {
    expect(() => readConfig({ BERTH_RUNTIME_BASE: "python:3.12-slim", BERTH_TEST_X: "1" })).not.toThrow();
  });

  test("a secret is never shown, neither in the log nor in a problem", () => {
    const url = "https://user:hunter2@index.example/simple";
    expect(
      JSON.stringify(redactedSettings(readConfig({ BERTH_PACKAGE_INDEX_URL: url }).settings)),
    ).not.toContain("hunter2");
  });
});

describe("the server of plugins' calls back", () => {
  const inner = { BERTH_DIFY_INNER_URL: "http://api:5001", BERTH_DIFY_INNER_KEY: "k" };

  test("is chosen for all types, and for single ones", () => {
    expect(readConfig({}).settings.BERTH_HOST_CALLS).toEqual({ types: {} });
    expect(
      readConfig({ ...inner, BERTH_HOST_CALLS: "local,llm=platform" }).settings.BERTH_HOST_CALLS,
    ).toEqual({
      all: "local",
      types: { llm: "platform" },
    });
  });

  test.each([
    [{ BERTH_HOST_CALLS: "sing=local" }, /BERTH_HOST_CALLS is "sing=local"; accepted: `platform` or `local`/],
    [{ ...inner, BERTH_HOST_CALLS: "storage=platform" }, /types: tool, llm, llm_structured_output/],
    [
      { BERTH_HOST_CALLS: "llm=local,tool=platform,app=platform" },
      /BERTH_HOST_CALLS sends tool, app to the platform, and BERTH_DIFY_INNER_URL is not set; accepted: local/,
    ],
    [{ BERTH_HOST_CALLS: "platform" }, /BERTH_HOST_CALLS sends calls to the platform/],
  ])("%o is refused", (env, problem) => {
    expect(() => readConfig(env)).toThrow(problem);
  });
});

describe("the bucket of packages", () => {
  const bucket = { BERTH_S3_BUCKET: "packages", BERTH_S3_ENDPOINT: "https://s3.example:9000" };

  test("needs bucket and endpoint together, and both parts of the access key", () => {
    expect(() => readConfig({ BERTH_S3_BUCKET: "packages" })).toThrow(
      /BERTH_S3_BUCKET is set without BERTH_S3_ENDPOINT; accepted: both or neither/,
    );
    expect(() => readConfig({ BERTH_S3_ENDPOINT: "https://s3.example" })).toThrow(
      /BERTH_S3_ENDPOINT is set without BERTH_S3_BUCKET/,
    );
    expect(() => readConfig({ ...bucket, BERTH_S3_ACCESS_KEY_ID: "id" })).toThrow(
      /BERTH_S3_ACCESS_KEY_ID is set without BERTH_S3_SECRET_ACCESS_KEY/,
    );
    expect(() => readConfig({ ...bucket, BERTH_S3_SECRET_ACCESS_KEY: "s3cret" })).toThrow(
      /^(?!.*s3cret)[\s\S]*BERTH_S3_SECRET_ACCESS_KEY is set without BERTH_S3_ACCESS_KEY_ID/,
    );
    expect(readConfig(bucket).settings).toMatchObject(bucket);
  });

  test("must have an endpoint without path or password and a prefix of plain names", () => {
    for (const endpoint of [
      "s3.example",
      "ftp://s3.example",
      "https://s3.example/packages",
      "https://u:p@s3.example",
    ])
      expect(() => readConfig({ ...bucket, BERTH_S3_ENDPOINT: endpoint })).toThrow(/BERTH_S3_ENDPOINT is/);
    for (const prefix of ["/berth", "a//b", "a b/"])
      expect(() => readConfig({ ...bucket, BERTH_S3_PREFIX: prefix })).toThrow(/BERTH_S3_PREFIX is/);
    expect(readConfig({ ...bucket, BERTH_S3_PREFIX: "a/b" }).settings.BERTH_S3_PREFIX).toBe("a/b");
  });
});

describe("the proxies of builds and plugins", () => {
  test("are read from the usual variables, lower case before upper case", () => {
    const { settings, warnings } = readConfig({
      HTTP_PROXY: "http://upper:1",
      http_proxy: "http://lower:1",
      HTTPS_PROXY: "http://upper:1",
      https_proxy: "",
      no_proxy: "a.example",
    });
    expect(settings).toMatchObject({
      HTTP_PROXY: "http://lower:1",
      HTTPS_PROXY: "http://upper:1",
      NO_PROXY: "a.example",
    });
    expect(warnings).toEqual([expect.stringContaining("HTTP_PROXY and http_proxy differ")]);
    expect(warnings.join()).not.toContain("lower:1");
  });

  test("get the scheme if it is missing, and must be HTTP proxies", () => {
    expect(readConfig({ https_proxy: "u:p@proxy:3128" }).settings.HTTPS_PROXY).toBe("http://u:p@proxy:3128");
    for (const wrong of ["socks5://u:hunter2@proxy:1080", "http://u:hunter2@proxy:3128/path", "http://"]) {
      const read = () => readConfig({ HTTPS_PROXY: wrong });
      expect(read).toThrow(/HTTPS_PROXY is not usable; accepted: `http:\/\/host:port`/);
      expect(read).not.toThrow(/hunter2/);
    }
  });

  test("are refused under their former names, and the refusal gives the new names", () => {
    const read = () => readConfig({ BERTH_PROXY_URL: "http://u:hunter2@proxy:1", BERTH_NO_PROXY: "a" });
    expect(read).toThrow(
      /BERTH_PROXY_URL is no longer a setting of Berth; accepted: HTTP_PROXY and HTTPS_PROXY/,
    );
    expect(read).toThrow(/BERTH_NO_PROXY is no longer a setting of Berth; accepted: NO_PROXY/);
    expect(read).not.toThrow(/hunter2/);
  });

  test("are refused if Node would send Berth's own traffic through them", () => {
    const proxy = { http_proxy: "http://proxy:1" };
    const accepted = /NODE_USE_ENV_PROXY is "1"; accepted: not set, or 0/;
    expect(() => readConfig({ ...proxy, NODE_USE_ENV_PROXY: "1" })).toThrow(accepted);
    const flagged = /Node was started with --use-env-proxy/;
    expect(() => readConfig({ ...proxy, NODE_OPTIONS: "--trace-warnings --use-env-proxy" })).toThrow(flagged);
    expect(() => readConfig(proxy, ["--use-env-proxy"])).toThrow(flagged);
    expect(() => readConfig({ ...proxy, NODE_USE_ENV_PROXY: "0" })).not.toThrow();
    expect(() => readConfig({ NODE_USE_ENV_PROXY: "1" })).not.toThrow();
  });
});

describe("package indexes", () => {
  test("are a replacement of the public index and any number of extra indexes", () => {
    const { settings } = readConfig({
      BERTH_PACKAGE_INDEX_URL: "https://u:p@one.example/simple",
      BERTH_PACKAGE_EXTRA_INDEX_URLS: " https://u:a,b@two.example/simple\n http://three.example ",
    });
    expect(settings.BERTH_PACKAGE_INDEX_URL).toBe("https://u:p@one.example/simple");
    expect(settings.BERTH_PACKAGE_EXTRA_INDEX_URLS).toEqual([
      "https://u:a,b@two.example/simple",
      "http://three.example",
    ]);
  });

  test("that are not URLs are refused without being shown", () => {
    const read = () =>
      readConfig({
        BERTH_PACKAGE_INDEX_URL: "https://u:hunter 2@one.example",
        BERTH_PACKAGE_EXTRA_INDEX_URLS: "https://one.example u:hunter2@two.example",
      });
    expect(read).toThrow(/BERTH_PACKAGE_INDEX_URL is not usable; accepted: an `http/);
    expect(read).toThrow(/BERTH_PACKAGE_EXTRA_INDEX_URLS is not usable; accepted: `http/);
    expect(read).not.toThrow(/hunter/);
  });
});

describe("a secret in a file", () => {
  async function file(text: string): Promise<AsyncDisposable & { readonly path: string }> {
    const folder = await mkdtemp(join(tmpdir(), "berth-secret-"));
    const path = join(folder, "secret");
    await writeFile(path, text);
    return { path, [Symbol.asyncDispose]: () => rm(folder, { recursive: true }) };
  }

  test("is read without its line ending", async () => {
    await using secret = await file("postgres://berth:p w\n@db/berth\n");
    expect(readConfig({ DATABASE_URL_FILE: secret.path }).settings.DATABASE_URL).toBe(
      "postgres://berth:p w\n@db/berth",
    );
  });

  test("is refused if the setting itself is set too, if the file is empty, and if it cannot be read", async () => {
    await using secret = await file("a");
    await using empty = await file("\n");
    const read = () =>
      readConfig({
        REDIS_URL: "redis://cache",
        REDIS_URL_FILE: secret.path,
        DATABASE_URL_FILE: empty.path,
        BERTH_ADMIN_KEY_FILE: "/nowhere",
      });
    expect(read).toThrow(/REDIS_URL and REDIS_URL_FILE are both set/);
    expect(read).toThrow(/DATABASE_URL_FILE is ".*", which is empty/);
    expect(read).toThrow(/BERTH_ADMIN_KEY_FILE is "\/nowhere", which cannot be read \(ENOENT\)/);
  });

  test("is accepted for secrets only", () => {
    expect(() => readConfig({ BERTH_PORT_FILE: "/port" })).toThrow(
      /BERTH_PORT_FILE is not a setting of Berth/,
    );
  });
});
