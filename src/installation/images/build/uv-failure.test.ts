import { expect, test } from "vitest";
import { uvFailure } from "./uv-failure.ts";

const UNSATISFIABLE = "error: No solution found when resolving dependencies\n  cause: Because ";

// As `uv` 0.13 prints them.
test.each([
  [
    1,
    `${UNSATISFIABLE}a was not found in the package registry and you require a==1.0, we can conclude that`,
    "dependency_unresolvable",
    "a==1.0",
  ],
  [
    1,
    `${UNSATISFIABLE}there is no version of six==99.9 and you require six==99.9, we`,
    "dependency_unresolvable",
    "six==99.9",
  ],
  [
    1,
    `${UNSATISFIABLE}docopt==0.6.2 has no usable wheels and you require docopt==0.6.2, we\n\nhint: Wheels are required for \`docopt\` because building from source is disabled`,
    "source_build_refused",
    "docopt==0.6.2",
  ],
  [
    2,
    "error: Failed to fetch: http://h/simple/six/\n  cause: client error (Connect)\n  cause: dns error",
    "name_not_resolved",
    undefined,
  ],
  [
    2,
    "error: Failed to fetch: http://h/\n  cause: HTTP status server error (503 Service Unavailable)",
    "index_unreachable",
    undefined,
  ],
  [
    1,
    `${UNSATISFIABLE}a was not found in the package registry and you require a, we can conclude that\n\nhint: An index URL (https://h/simple) could not be queried due to a lack of valid authentication credentials (401 Unauthorized)`,
    "index_refused",
    undefined,
  ],
  [2, "error: failed to write\n  cause: No space left on device (os error 28)", "disk_full", undefined],
  [92, "70000000 bytes were written", "build_disk_full", undefined],
  [153, "File size limit exceeded", "build_disk_full", undefined],
  [90, "six @ git+https://example.org/six\n", "source_build_refused", "six @ git+https://example.org/six"],
  [91, "error: bad lock", "build_failed", undefined],
  [3, "something else", "build_failed", undefined],
])("a failure with exit code %i is classified by its output", (exitCode, output, code, value) => {
  const fault = uvFailure({ exitCode, output }, { diskBytes: 32 << 20 });
  expect([fault.code, fault.details.value]).toEqual([code, value]);
});

test("an untrusted certificate is distinguished from an index that does not answer", () => {
  const output =
    "error: Failed to fetch: https://h/\n  cause: client error (Connect)\n  cause: invalid peer certificate: UnknownIssuer";
  expect(uvFailure({ exitCode: 2, output }, { diskBytes: 1 })).toMatchObject({
    code: "index_refused",
    message: expect.stringContaining("BERTH_CA_BUNDLE"),
  });
});

const asked = (...lines: string[]) =>
  lines.map((text, at) => ({ text, origin: { file: "requirements.txt", line: at + 1 } }));

test.each([
  [
    `${UNSATISFIABLE}there is no version of six==99.9 and you require six==99.9, we`,
    "six==99.9 (requirements.txt line 2) is required, and the index has no such version of it.",
  ],
  [
    `${UNSATISFIABLE}nosuch was not found in the package registry and you require nosuch, we can conclude that`,
    "nosuch (requirements.txt line 4) is required, and the index has no package of that name.",
  ],
  [
    `${UNSATISFIABLE}you require plain==1 and plain==2, we can conclude that your requirements are unsatisfiable.`,
    "The requirements contradict each other: plain==1 (requirements.txt line 1) and plain==2 (requirements.txt line 3).",
  ],
  [
    "error: No solution found when resolving dependencies\n  cause: you require plain==1 and plain==2, which are incompatible",
    "The requirements contradict each other: plain==1 (requirements.txt line 1) and plain==2 (requirements.txt line 3).",
  ],
  [
    `${UNSATISFIABLE}nosuch==2 depends on six>=1,<2 and you require six==99.9, we can conclude that your requirements and nosuch==2 are incompatible.`,
    "The requirements contradict each other: nosuch==2 (requirements.txt line 4) needs six>=1,<2, and six==99.9 (requirements.txt line 2) is required.",
  ],
  [
    "error: Couldn't parse requirement in `.berth/requirements.txt` at position 8\n  cause: Unexpected end of version specifier, expected version\n         plain==\n              ^^\n",
    'requirements.txt line 5: "plain==" is not a requirement: Unexpected end of version specifier, expected version.',
  ],
])("a fault of the package's own file names the line: %#", (output, message) => {
  const requirements = asked("plain==1", "six==99.9", "plain==2", "nosuch", "plain==");
  const fault = uvFailure({ exitCode: 1, output }, { diskBytes: 1 }, requirements);
  expect(fault.code).toBe("dependency_unresolvable");
  expect(fault.message).toBe(message);
});
