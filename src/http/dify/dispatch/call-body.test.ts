import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFault } from "../../../domain/fault.ts";
import { TenantId } from "../../../domain/ids.ts";
import { toDaemonError } from "../errors.ts";
import { DISPATCHED } from "../wire/operations/dispatched.ts";
import { callShape, prepareCall } from "./call-body.ts";

const TENANT = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001");
const LINE = /^Key: 'Data\.[\w.[\]]+' Error:Field validation for '\w+(\[\d+\])?' failed on the '\w+' tag$/;

/** Bodies that hold the right names and anything under them. */
function bodies(names: readonly string[]) {
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom("llm", "rerank", "tts", "text", "tool", 1, {}, []));
  const data = fc.dictionary(fc.oneof(fc.constantFrom(...names), fc.string()), value);
  return fc.record({
    user_id: fc.jsonValue(),
    context: fc.jsonValue(),
    data: fc.oneof(data, fc.jsonValue()),
  });
}

describe.each(DISPATCHED.map((operation) => [operation.dispatch.path, operation] as const))(
  "%s",
  (_, operation) => {
    const shape = callShape(operation);
    const names = Object.keys(shape.zero.data);

    test("any body is either refused with the names of its fields, or has everything that the plugin reads", () => {
      const property = fc.property(bodies(names), (given) => {
        const body = Buffer.from(JSON.stringify(given));
        const asked = { body, contentType: "application/json", tenantId: TENANT };
        try {
          const { wire, refusal } = prepareCall({ shape, operation }, asked);
          if (wire === undefined) throw refusal;
          const { data } = wire;
          const sent = JSON.parse(data) as Record<string, unknown>;
          expect(sent).toMatchObject({ type: operation.type, action: operation.action });
          for (const name of names) expect(sent).toHaveProperty([name]);
          expect(data).not.toMatch(/[\r\n]/);
        } catch (error) {
          if (!isFault(error)) throw error;
          expect(toDaemonError(error)).toMatchObject({ status: 400, type: "PluginDaemonBadRequestError" });
          for (const line of error.message.split("\n")) expect(line).toMatch(LINE);
        }
      });
      fc.assert(property, { numRuns: 100 });
    });
  },
);

test("digits of numbers and the order of names reach the plugin unchanged", () => {
  const operation = DISPATCHED.find(({ dispatch }) => dispatch.path === "tool/invoke");
  if (operation === undefined) throw new Error("no tools");
  const parameters = '{"b":1.0, "2":9007199254740993,"1":-0,"l":[1E3,0.10]}';
  const data = `{"provider":"p","tool":"t","credentials":{"n":1.50},\n"tool_parameters":${parameters}}`;
  const body = Buffer.from(`{"user_id":"u","context":{"c":1.0},"data":${data}}`);
  const asked = { body, contentType: "application/json", tenantId: TENANT };
  const { wire } = prepareCall({ shape: callShape(operation), operation }, asked);
  expect(wire?.data).toContain(`"tool_parameters":${parameters}`);
  expect(wire?.data).toContain('"credentials":{"n":1.50}');
  expect(wire?.about.context).toBe('{"c":1.0}');
});
