import { describe, expect, it } from "vitest";
import { destinationOf, parseDestination } from "./destination.ts";

describe("a destination", () => {
  it.each([
    ["API.Example.com:443", { host: "api.example.com", port: 443 }],
    ["*.example.com:443", { host: "*.example.com", port: 443 }],
    ["ollama:11434", { host: "ollama", port: 11_434 }],
    ["10.1.2.3", { host: "10.1.2.3", port: undefined }],
    ["10.1.2.3:5432", { host: "10.1.2.3", port: 5432 }],
    ["10.1.0.0/16", { host: "10.1.0.0/16", port: undefined }],
    ["10.1.0.0/16:80", { host: "10.1.0.0/16", port: 80 }],
  ])("%s is valid", (text, expected) => {
    expect(parseDestination(text)).toEqual(expected);
  });

  it.each([
    "",
    "example.com",
    "example.com:0",
    "example.com:65536",
    "10.1.2:80",
    "10.0.0.0/33",
    "a b:1",
    "*:80",
    "::1",
    "a..b:1",
    "http://a:1",
  ])("%j is not valid", (text) => {
    expect(parseDestination(text)).toBeUndefined();
  });

  it("of a URL is its host with its port or the port of its scheme", () => {
    expect(destinationOf(new URL("https://u:p@index.example/simple"))).toEqual(["index.example:443"]);
    expect(destinationOf(new URL("http://10.0.0.1:3128"))).toEqual(["10.0.0.1:3128"]);
    expect(destinationOf(new URL("http://[::1]:80/"))).toEqual([]);
  });
});
