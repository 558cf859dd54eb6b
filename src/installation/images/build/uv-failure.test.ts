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
