import { expect, test } from "vitest";
import { NO_PROXIES, proxyFor, proxyVariables } from "./proxy.ts";

const PROXY = "http://user:hush@proxy.example:3128";

test("the proxies are passed on under upper-case and lower-case names", () => {
  expect(proxyVariables({ http: PROXY, https: "http://other.example:1", bypass: "a.example" })).toEqual({
    http_proxy: PROXY,
    HTTP_PROXY: PROXY,
    https_proxy: "http://other.example:1",
    HTTPS_PROXY: "http://other.example:1",
    no_proxy: "localhost,127.0.0.1,a.example",
    NO_PROXY: "localhost,127.0.0.1,a.example",
  });
});

test("a proxy for one kind of address is passed on for that kind only", () => {
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
])("the bypass list %j is passed on as %s", (bypass, expected) => {
  expect(proxyVariables({ http: PROXY, https: undefined, bypass })["no_proxy"]).toBe(expected);
});

test("without a proxy no variable is set", () => {
  expect(proxyVariables({ ...NO_PROXIES, bypass: "a.example" })).toEqual({});
});

test.each([
  ["http://a.example", "", "http"],
  ["https://a.example", "", "https"],
  ["https://localhost", "", undefined],
  ["https://127.0.0.1:8443", "", undefined],
  ["https://a.example", "*", undefined],
  ["https://a.example", "A.example", undefined],
  ["https://in.a.example", "a.example", undefined],
  ["https://in.a.example", ".a.example", undefined],
  ["https://aa.example", "a.example", "https"],
  ["https://a.example", "b.example, a.example:443", undefined],
  ["https://a.example:8443", "a.example:443", "https"],
  ["https://10.0.0.1", "10.0.0.1", undefined],
  ["https://[fd00::1]", "fd00::1", undefined],
  ["https://[fd00::1]:8443", "[fd00::1]:8443", undefined],
])("a request to %s with the bypass list %j goes through the proxy for %s", (url, bypass, expected) => {
  expect(proxyFor(new URL(url), { http: "http", https: "https", bypass })).toBe(expected);
});
