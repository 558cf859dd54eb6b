import { expect, test } from "vitest";
import { platformBody } from "./platform-body.ts";

const SESSION = { tenant_id: "t", user_id: "u", type: "llm" };

test("a request keeps its members as written, and acts for the session's tenant and user", () => {
  const body = platformBody('{ "n": 12345678901234567890, "f": 1.0, "deep": {"tenant_id": "x"} }', SESSION);
  expect(body).toBe(
    '{"n":12345678901234567890,"f":1.0,"deep":{"tenant_id": "x"},"tenant_id":"t","user_id":"u","type":"llm"}',
  );
});

test.each([
  '{"tenant_id":"other","user_id":"other","type":"other"}',
  '{"tenant_id":"a","tenant_id":"b","user_id":null,"type":[]}',
  '{"tenant\\u005fid":"other","user_id":{"a":1},"t\\u0079pe":7}',
])("a plugin cannot act for another one with %s", (request) => {
  expect(platformBody(request, SESSION)).toBe('{"tenant_id":"t","user_id":"u","type":"llm"}');
});

test("defaults take the place of missing and null members only", () => {
  const defaults = { score_threshold: 0, top_n: 0 };
  const body = platformBody('{"top_n":null,"query":null}', SESSION, defaults);
  expect(JSON.parse(body)).toEqual({ ...SESSION, ...defaults, query: null });
  expect(JSON.parse(platformBody('{"top_n":3}', SESSION, defaults))).toMatchObject({ top_n: 3 });
});
