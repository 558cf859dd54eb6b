import { expect, test } from "vitest";
import { parseParameters } from "./call-tool.ts";

const DECLARED = [
  { name: "text", type: "string" },
  { name: "times", type: "number" },
  { name: "loud", type: "boolean" },
  { name: "where", type: "object" },
];

test("text stays text, and values of other declared types are read as JSON", () => {
  const given = ["text=1", "times=2", "loud=true", 'where={"x":1}', "other=3", "text2=a=b"];
  expect(parseParameters(given, DECLARED)).toEqual({
    text: "1",
    times: 2,
    loud: true,
    where: { x: 1 },
    other: "3",
    text2: "a=b",
  });
});

test("a parameter without a name, or with a value of another type, is refused", () => {
  expect(() => parseParameters(["text"], DECLARED)).toThrow('parameter is "text"; accepted: key=value.');
  expect(() => parseParameters(["=1"], DECLARED)).toThrow("accepted: key=value");
  expect(() => parseParameters(["times=many"], DECLARED)).toThrow(
    'times is "many"; accepted: JSON of the type number.',
  );
});
