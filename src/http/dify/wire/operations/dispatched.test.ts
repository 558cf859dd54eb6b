import { expect, test } from "vitest";
import { recorded } from "../../../../../test/harness/samples/recorded.ts";
import { Reading } from "../shape.ts";
import type { Dispatch } from "./dispatch.ts";
import { DISPATCHED } from "./dispatched.ts";

const ALL = recorded("requests");
const ROUTES = new Map<string, Dispatch>(DISPATCHED.map(({ dispatch }) => [dispatch.path, dispatch]));

test("there are recordings of every dispatch route", () => {
  const routes = new Set(ALL.map(({ kind }) => kind));
  // the same shape as llm/invoke
  expect([...routes, "model/polling/start"].toSorted()).toEqual([...ROUTES.keys()].toSorted());
});

test.each([...new Set(ALL.map(({ kind }) => kind))])(
  "must be identical 8: what reaches the plugin through %s, and what is refused, is the daemon's",
  (route) => {
    const cases = ALL.filter(({ kind }) => kind === route);
    const wanted = cases.map(({ name, answer, refused = [] }) => ({
      name,
      ...(refused.length === 0 ? { answer } : { refused: refused.toSorted() }),
    }));
    expect(cases.map(({ name, input }) => ({ name, ...outcome(route, input) }))).toEqual(wanted);
  },
);

function outcome(route: string, input: unknown): object {
  const { data } = ROUTES.get(route) ?? expect.fail(`no route ${route}`);
  const read = data.read(input, new Reading());
  const broken: string[] = [];
  data.check?.(read, "", broken);
  if (broken.length > 0) return { refused: broken.map(ruleOf).toSorted() };
  return { answer: JSON.parse(JSON.stringify(read)) };
}

/** `Field rule`, as recorded. */
function ruleOf(line: string): string {
  const [, name, rule] = /for '([^']*)' failed on the '([^']*)' tag/.exec(line) ?? [];
  // the daemon writes this one name in small letters
  return `${rule === "required_for_tool" ? "name" : name} ${rule}`;
}
