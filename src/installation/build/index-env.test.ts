import { expect, test } from "vitest";
import { createRedactor, indexEnv, publicIndexUrls } from "./index-env.ts";
import type { IndexSettings } from "./settings.ts";

const INDEX: IndexSettings = {
  url: "https://user:p%40ss@index.example/simple",
  extraUrls: ["https://token@other.example/simple"],
  proxies: { https: "http://proxy:hush@10.0.0.1:3128" },
  caBundlePath: undefined,
  httpRetries: 2,
  httpTimeoutMs: 30_000,
};

test("the redactor takes passwords out in every form in which they may be printed", () => {
  const redact = createRedactor(INDEX);
  const text = "p%40ss p@ss token hush https://a:b@c/ https://user:other@index.example";
  expect(redact(text)).toBe("**** **** **** **** https://****@c/ https://****@index.example");
});

test("the redactor knows the password of a URL that is none", () => {
  expect(createRedactor({ ...INDEX, url: "http://u:secret@:80/x" })("invalid value secret")).not.toContain(
    "secret",
  );
});

test("what an image's key is made of has no password", () => {
  expect(publicIndexUrls(INDEX)).toEqual(["https://index.example/simple", "https://other.example/simple"]);
});

test("the installer's environment has index, proxies and time-out, and nothing that was not set", () => {
  expect(indexEnv(INDEX)).toEqual({
    UV_DEFAULT_INDEX: INDEX.url,
    UV_INDEX: INDEX.extraUrls[0],
    HTTPS_PROXY: INDEX.proxies.https,
    UV_HTTP_RETRIES: "2",
    UV_HTTP_TIMEOUT: "30",
  });
});
