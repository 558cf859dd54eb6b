import { describe, expect, test } from "vitest";
import { CA_BUNDLE_PATH, createRedactor, indexEnv, publicIndexUrls } from "./index-env.ts";
import { INDEX_DEFAULTS, type IndexSettings } from "./settings.ts";

const INDEX: IndexSettings = {
  url: "https://user:p%40ss@index.example/simple",
  extraUrls: ["https://token@other.example/simple"],
  proxies: { http: undefined, https: "http://proxy:hush@10.0.0.1:3128", bypass: "a.example" },
  caBundle: undefined,
  httpRetries: 2,
  httpTimeoutMs: 30_000,
};
const redactorOf = (url: string) => createRedactor({ ...INDEX_DEFAULTS, url });

describe("the redactor", () => {
  test("removes passwords in every form in which they may be printed", () => {
    const redact = createRedactor(INDEX);
    const text = "p%40ss p@ss token hush https://a:b@c/ https://user:other@index.example";
    expect(redact(text)).toBe("**** **** **** **** https://****@c/ https://****@index.example");
  });

  test.each([
    ["as it was written", "p%2fa+b%3A%25 c%22"],
    ["with hex digits in upper case", "p%2Fa+b%3A%25 c%22"],
    ["decoded", 'p/a+b:% c"'],
    ["encoded as a component", encodeURIComponent('p/a+b:% c"')],
    ["encoded as a form", "p%2Fa%2Bb%3A%25+c%22"],
    ["inside JSON", String.raw`p/a+b:% c\"`],
    ["as a header", Buffer.from('user:p/a+b:% c"').toString("base64")],
  ])("removes a password with special characters %s", (_form, shown) => {
    const redact = redactorOf("https://user:p%2fa+b%3A%25 c%22@index.example/simple");
    expect(redact(`before ${shown} after`)).toBe("before **** after");
  });

  test("removes a user's name as a word of its own, and keeps words that contain it", () => {
    const redact = redactorOf("https://al%40ice:secret1@index.example/simple");
    expect(redact("user al@ice or al%40ice; signal@ice.example")).toBe(
      "user **** or ****; signal@ice.example",
    );
    expect(redactorOf("https://aws:x9@i.example/")("for aws: aws-lambda, laws")).toBe(
      "for ****: aws-lambda, laws",
    );
  });

  test("removes the whole of a password that contains characters of URLs", () => {
    expect(
      redactorOf("https://user:a@b@c@index.example/simple")("at https://user:a@b@c@index.example/x"),
    ).toBe("at https://****@index.example/x");
  });

  test("removes the password of a malformed URL", () => {
    expect(redactorOf("http://u:secret@:80/x")("invalid value secret")).not.toContain("secret");
  });

  test("removes the proxies' passwords", () => {
    const proxies = { http: "http://p:one1@h:1", https: "http://p:two2@h:1", bypass: "" };
    const redact = createRedactor({ ...INDEX_DEFAULTS, proxies });
    expect(redact("one1 two2")).toBe("**** ****");
  });

  test("keeps text without secrets as it is", () => {
    expect(createRedactor(INDEX_DEFAULTS)("Downloading a@b from https://index.example/x")).toBe(
      "Downloading a@b from https://index.example/x",
    );
  });
});

test("the index URLs in an image's key have no password", () => {
  expect(publicIndexUrls(INDEX)).toEqual(["https://index.example/simple", "https://other.example/simple"]);
});

test("the installer's environment has index, proxies and timeout, and nothing that was not set", () => {
  expect(indexEnv(INDEX)).toEqual({
    UV_DEFAULT_INDEX: INDEX.url,
    UV_INDEX: INDEX.extraUrls[0],
    HTTPS_PROXY: INDEX.proxies.https,
    https_proxy: INDEX.proxies.https,
    NO_PROXY: "localhost,127.0.0.1,a.example",
    no_proxy: "localhost,127.0.0.1,a.example",
    UV_HTTP_RETRIES: "2",
    UV_HTTP_TIMEOUT: "30",
  });
  const caBundle = { pem: "x", digest: "y", warnings: [] };
  expect(indexEnv({ ...INDEX_DEFAULTS, caBundle })).toEqual({
    SSL_CERT_FILE: CA_BUNDLE_PATH,
    UV_HTTP_RETRIES: "3",
    UV_HTTP_TIMEOUT: "30",
  });
});
