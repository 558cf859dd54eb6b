import fc from "fast-check";
import { expect, test } from "vitest";
import { recorded } from "../../../../../test/harness/samples/recorded.ts";
import { CHUNKS, type ChunkKind } from "./chunks.ts";

const KINDS = Object.keys(CHUNKS) as ChunkKind[];

/** A value of the kind, with anything at one place of it. */
function almost(kind: ChunkKind): fc.Arbitrary<unknown> {
  const own = kind === "agent_message" ? "message" : kind;
  const whole = recorded("chunks").filter((one) => one.kind === own && one.name === "whole");
  const paths = whole.flatMap(({ input }) => pathsOf(input).map((path) => ({ input, path })));
  return fc
    .tuple(fc.constantFrom(...paths), fc.jsonValue())
    .map(([{ input, path }, value]) => put(input, path, value));
}

test.each(KINDS)("whatever a plugin answers for %s is a chunk, or an error that says why", (kind) => {
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), almost(kind)), (value) => {
      const before = JSON.stringify(value);
      const outcome = outcomeOf(kind, value);
      if (outcome instanceof Error)
        expect(outcome).toMatchObject({ code: "plugin_error", details: UNREADABLE });
      // the plugin's own value is nobody's to change
      expect(JSON.stringify(value)).toBe(before);
    }),
  );
});

test.each(["date-range", "hologram"])("a tool can describe a parameter of type %s at run time", (type) => {
  const parameter = { name: "when", label: { en_US: "When" }, type, form: "llm" };
  expect(CHUNKS.runtime_parameters.open().read({ parameters: [parameter] })).toMatchObject({
    parameters: [{ name: "when", type }],
  });
});

const UNREADABLE = { error_type: "unmarshal_error", message: expect.any(String) };

function outcomeOf(kind: ChunkKind, value: unknown): unknown {
  try {
    return CHUNKS[kind].open().read(value);
  } catch (error) {
    return error;
  }
}

function pathsOf(value: unknown, path: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== "object" || value === null) return [path];
  return [path, ...Object.entries(value).flatMap(([key, inner]) => pathsOf(inner, [...path, key]))];
}

function put(value: unknown, [key, ...rest]: readonly string[], inner: unknown): unknown {
  if (key === undefined) return inner;
  const old = value as Record<string, unknown>;
  const changed = put(old[key], rest, inner);
  return Array.isArray(value) ? value.with(Number(key), changed) : { ...old, [key]: changed };
}
