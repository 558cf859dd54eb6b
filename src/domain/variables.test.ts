import { expect, test } from "vitest";
import { isFault } from "./fault.ts";
import { assertVariables, CA_VARIABLES } from "./variables.ts";

function refusal(asked: Parameters<typeof assertVariables>[0]) {
  try {
    assertVariables(asked);
  } catch (error) {
    if (isFault(error, "invalid_input")) return error;
    throw error;
  }
  return undefined;
}

const of = (name: string) => refusal({ [name]: { value: "hidden", secret: true } });

test.each(["REGION", "_x", "TZ", "HF_HOME", "MAX_REQUEST_TIMEOUT"])("%s may be set", (name) => {
  expect(of(name)).toBeUndefined();
});

test.each(["PATH", "HOME", "INSTALL_METHOD", "LD_PRELOAD", "no_proxy", "HTTP_PROXY", ...CA_VARIABLES])(
  "%s is refused as a reserved name, with all of them",
  (name) => {
    expect(of(name)?.message).toMatch(`"${name}" in variables is a name that Berth reserves; accepted: any`);
    expect(of(name)?.details).toMatchObject({ field: `variables.${name}`, value: name });
    expect(String(of(name)?.details["accepted"])).toContain("PATH, HOME");
  },
);

test.each(["A B", "9A", "", "A-B"])("%j is refused as no name, without the list of reserved ones", (name) => {
  expect(of(name)?.message).toBe(
    `${JSON.stringify(name)} in variables is no name of a variable; accepted: ` +
      "1 to 128 letters, digits and `_`, not a digit first.",
  );
});

test("a value is never shown, whatever is wrong with it", () => {
  expect(refusal({ A: { value: "hidden\0", secret: true } })?.details).toMatchObject({
    field: "variables.A",
  });
  const tooLarge = refusal({ A: { value: "hidden".repeat(20_000), secret: true } });
  expect(JSON.stringify([tooLarge?.message, tooLarge?.details])).not.toContain("hidden");
  expect(refusal({ A: { secret: false } })?.details).toMatchObject({ field: "variables.A.value" });
});

test("at most 100 variables are accepted", () => {
  const many = (count: number) =>
    Object.fromEntries(Array.from({ length: count }, (_, n) => [`A${n}`, { value: "", secret: false }]));
  expect(refusal(many(100))).toBeUndefined();
  expect(refusal(many(101))?.details).toMatchObject({ field: "variables", value: 101 });
});
