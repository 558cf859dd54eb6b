import { expect, test } from "vitest";
import { NO_PROXIES, proxyVariables } from "./proxy.ts";

const PROXY = "http://user:hush@proxy.example:3128";

test("programs find the proxies in both cases of their names", () => {
  expect(proxyVariables({ http: PROXY, https: "http://other.example:1", bypass: "a.example" })).toEqual({
    http_proxy: PROXY,
    HTTP_PROXY: PROXY,
    https_proxy: "http://other.example:1",
    HTTPS_PROXY: "http://other.example:1",
    no_proxy: "localhost,127.0.0.1,a.example",
    NO_PROXY: "localhost,127.0.0.1,a.example",
  });
});

test("a proxy for one kind of address alone is handed on alone", () => {
  expect(Object.keys(proxyVariables({ ...NO_PROXIES, https: PROXY })).sort()).toEqual([
    "HTTPS_PROXY",
    "NO_PROXY",
    "https_proxy",
    "no_proxy",
  ]);
});

test.each([
  ["", "localhost,127.0.0.1"],
  ["a.example, .b.example  10.0.0.1", "localhost,127.0.0.1,a.example,.b.example,10.0.0.1"],
  ["localhost,a.example", "localhost,127.0.0.1,a.example"],
  ["a.example,*", "*"],
])("what is reached directly by %j is %s", (bypass, expected) => {
  expect(proxyVariables({ http: PROXY, https: undefined, bypass })["no_proxy"]).toBe(expected);
});

test("without a proxy no variable is set", () => {
  expect(proxyVariables({ ...NO_PROXIES, bypass: "a.example" })).toEqual({});
});
