import { expect, test } from "vitest";
import { isFault } from "../../../domain/fault.ts";
import { parseAddress } from "../requirements/address.ts";
import { parsePin, sourceAt } from "./source.ts";

const origin = { file: "requirements.txt", line: 3 };
const read = (text: string) => {
  const address = parseAddress(text);
  if (address === undefined) throw new Error(`${text} has no address`);
  return sourceAt(address, text, origin);
};

test.each([
  ["x @ git+https://example.org/a/x.git", { kind: "git", url: "https://example.org/a/x.git", ref: "" }, ""],
  [
    "git+https://u@example.org/x@feature/one#subdirectory=py/x&egg=x",
    { kind: "git", url: "https://u@example.org/x", ref: "feature/one" },
    "py/x",
  ],
  ["x @ https://example.org/x-1.tar.gz", { kind: "archive", url: "https://example.org/x-1.tar.gz" }, ""],
  ["file:///build/lib[more] ; python_version > '3'", { kind: "package", path: "/build/lib" }, ""],
])("the source of %s is read", (text, place, subdirectory) => {
  expect(read(text)).toMatchObject({ place, subdirectory });
});

test("the password of an address is in no message", () => {
  expect(read("x @ git+https://user:secret@example.org/x").label).toBe("x @ git+https://****@example.org/x");
});

test.each([
  ["x @ git+ssh://git:hush@example.org/x", "git+ssh"],
  ["x @ git+git@example.org:a/x.git", "git+ssh"],
  ["x @ ftp://example.org/x.zip", "ftp"],
  ["x @ git+file:///etc", "git+file"],
  ["x @ svn+https://example.org/x", "svn+https"],
])("%s is refused with its line, its scheme and what is accepted", (text, scheme) => {
  try {
    read(text);
  } catch (error) {
    if (!isFault(error, "dependency_unresolvable")) throw error;
    expect(error.message).toContain(
      ` has the scheme ${scheme}, by which Berth fetches nothing. Accepted: https://`,
    );
    expect(error.details).toMatchObject({ line: 3, accepted: expect.stringContaining("git+https://...") });
    expect(JSON.stringify([error.message, error.details])).not.toContain("hush");
    return;
  }
  expect.unreachable();
});

test.each([
  ["six==1.0", { name: "six", version: "1.0", extras: "", markers: "", hashes: [] }],
  [
    `httpx[http2]==0.27 ; python_version < "4"   --hash=sha256:${"A".repeat(64)}`,
    {
      name: "httpx",
      version: "0.27",
      extras: "[http2]",
      markers: '; python_version < "4"',
      hashes: ["a".repeat(64)],
    },
  ],
  ["six==1.*", undefined],
  ["six>=1.0", undefined],
  ["six==1.0,<2", undefined],
])("%s is one version, or not", (text, pin) => {
  expect(parsePin(text)).toEqual(pin);
});
