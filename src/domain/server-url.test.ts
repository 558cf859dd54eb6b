import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseServerUrl, type ServerUrlRules } from "./server-url.ts";

const rules: ServerUrlRules = {
  setting: "SOME_URL",
  schemes: ["some", "some+more"],
  params: ["mode", "file"],
  form: "some://user:password@host:port/path",
};

describe("a server's URL", () => {
  test("is split into its parts, each percent-decoded", () => {
    expect(
      parseServerUrl("some://me:p%40ss%2Fw@[::1]:5432/a%20base?mode=on&file=%2Ftmp%2Fca.pem", rules),
    ).toEqual({
      scheme: "some",
      username: "me",
      password: "p@ss/w",
      hosts: [{ host: "::1", port: 5432 }],
      path: "a base",
      params: new Map([
        ["mode", "on"],
        ["file", "/tmp/ca.pem"],
      ]),
    });
  });

  test("may name several hosts, or none", () => {
    expect(parseServerUrl("some+more://:pw@one:1,two/x/0", rules)).toMatchObject({
      username: undefined,
      password: "pw",
      hosts: [
        { host: "one", port: 1 },
        { host: "two", port: undefined },
      ],
      path: "x/0",
    });
    expect(parseServerUrl("some:///path", rules)).toMatchObject({ hosts: [], path: "path" });
  });

  test("gives back any user and password that were percent-encoded", () => {
    fc.assert(
      fc.property(
        fc.string({ minLength: 1, unit: "grapheme" }),
        fc.string({ minLength: 1 }),
        (name, secret) => {
          const url = `some://${encodeURIComponent(name)}:${encodeURIComponent(secret)}@host/db`;
          expect(parseServerUrl(url, rules)).toMatchObject({ username: name, password: secret });
        },
      ),
    );
  });

  test("may contain @ and : in a password without encoding", () => {
    expect(parseServerUrl("some://me:p@s:s@host/db", rules)).toMatchObject({
      password: "p@s:s",
      hosts: [{ host: "host" }],
    });
  });

  test.each([
    ["other://host", "it is not such a URL"],
    ["host:5432", "it is not such a URL"],
    ["some://me:s3cret/x@host/db", "host:port"],
    ["some://me:s3cret%zz@host/db", "its password is not percent-encoded"],
    ["some://me:s3cret@host:0/db", "host:port"],
    ["some://me:s3cret@host:99999/db", "host:port"],
    ["some://me:s3cret@host/db?mod=on", 'it has a parameter "mod"'],
    ["some://me:s3cret#@host/db", "%23"],
  ])("%s is refused with the part that is wrong, and without the password", (url, problem) => {
    const attempt = () => parseServerUrl(url, rules);
    expect(attempt).toThrow(problem);
    expect(attempt).toThrow("SOME_URL is not usable");
    expect(attempt).toThrow("some://user:password@host:port/path, with the parameters mode, file");
    expect(attempt).not.toThrow("s3cret");
  });
});
