import { expect, test } from "vitest";
import { isFault } from "./fault.ts";
import { assertVariables, CA_VARIABLES } from "./variables.ts";

function refusal(asked: Parameters<typeof assertVariables>[0]) {
  try {
    assertVariables(asked);
  } catch (error) {
    if (isFault(error, "invalid_input")) return error.details;
    throw error;
  }
  return undefined;
}

const of = (name: string) => refusal({ [name]: { value: "hidden", secret: true } });

test.each(["REGION", "_x", "TZ", "HF_HOME", "MAX_REQUEST_TIMEOUT"])("%s may be set", (name) => {
  expect(of(name)).toBeUndefined();
});

test.each([
  "PATH",
  "HOME",
  "INSTALL_METHOD",
  "LD_PRELOAD",
  "no_proxy",
  "HTTP_PROXY",
  ...CA_VARIABLES,
  "A B",
  "9A",
  "",
])("%s is refused: reserved, or no name", (name) => {
  expect(of(name)).toMatchObject({ field: `variables.${name}`, value: name });
  expect(String(of(name)?.accepted)).toContain("PATH, HOME");
});

test("a value is never shown, whatever is wrong with it", () => {
  expect(refusal({ A: { value: "hidden\0", secret: true } })).toMatchObject({ field: "variables.A" });
  expect(JSON.stringify(refusal({ A: { value: "hidden".repeat(20_000), secret: true } }))).not.toContain(
    "hidden",
  );
  expect(refusal({ A: { secret: false } })).toMatchObject({ field: "variables.A.value" });
});

test("at most 100 variables are accepted", () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`A${n}`, { value: "", secret: false }]));
  expect(refusal(many(100))).toBeUndefined();
  expect(refusal(many(101))).toMatchObject({ field: "variables", value: 101 });
});
