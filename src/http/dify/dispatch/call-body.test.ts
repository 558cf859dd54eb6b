import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { isFault } from "../../../domain/fault.ts";
import { OPERATIONS } from "../../../domain/operations/operations.ts";
import { toDaemonError } from "../errors.ts";
import { callShape, type Dispatched, readCall, wireData } from "./call-body.ts";

const DISPATCHED = OPERATIONS.filter((one): one is Dispatched => one.dispatch !== undefined);
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

    test("whatever comes is either refused by the names of its fields, or has all that the plugin reads", () => {
      const property = fc.property(bodies(names), (given) => {
        const body = JSON.stringify(given);
        const call = { ...readCall(shape, { body, contentType: "application/json" }), tenant_id: "t" };
        try {
          const { data } = wireData(shape, operation, call);
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
