import { Hono } from "hono";
import { expect, test } from "vitest";
import { isFault } from "../../domain/fault.ts";
import type { HttpEnv } from "../env.ts";
import { bind } from "./bind.ts";
import { field, flag, list, max, min, needed, struct, text, whole } from "./wire/shape.ts";

const Input = struct({
  page: needed(whole, min(1), max(9)),
  name: field(text),
  on: field(flag),
  tags: field(list(text)),
});

async function bound(path: string, init: RequestInit = {}): Promise<unknown> {
  const app = new Hono<HttpEnv>();
  app.all("/:page/in", async (c) => c.json(await bind(c, Input, 1000)));
  app.all("/in", async (c) => c.json(await bind(c, Input, 1000)));
  app.onError((error, c) =>
    isFault(error) ? c.json({ code: error.code, text: error.message }) : c.text("?", 500),
  );
  return await (await app.request(path, init, {})).json();
}

const post = (body: string, type?: string): RequestInit => ({
  method: "POST",
  body,
  headers: type === undefined ? {} : { "content-type": type },
});
const FULL = { page: 3, name: "a", on: true, tags: ["x", "y"] };

test("a GET is bound from its query, in which a list repeats its name", async () => {
  expect(await bound("/in?page=3&name=a&on=true&tags=x&tags=y")).toEqual(FULL);
  expect(await bound("/in?page=3&tags=x")).toEqual({ page: 3, name: "", on: false, tags: ["x"] });
});

test.each(["application/json", "application/json; charset=utf-8", "Application/JSON"])(
  "a body with a JSON content type is read as JSON: %s",
  async (type) => expect(await bound("/in", post(JSON.stringify(FULL), type))).toEqual(FULL),
);

test("a body with a form content type is read as a form", async () => {
  const body = "page=3&name=a&on=1&tags=x&tags=y";
  expect(await bound("/in", post(body, "application/x-www-form-urlencoded"))).toEqual(FULL);
});

test.each([undefined, "text/plain", "application/xml"])(
  "a body of any other type is treated as empty: %s",
  async (type) => {
    const told = await bound("/in", post(JSON.stringify(FULL), type));
    expect(told).toEqual({
      code: "invalid_input",
      text: "Key: 'Page' Error:Field validation for 'Page' failed on the 'required' tag",
    });
  },
);

test("a number may be a text in a query, but not in JSON", async () => {
  expect(await bound("/in?page=3")).toMatchObject({ page: 3 });
  const told = await bound("/in", post('{"page":"3"}', "application/json"));
  expect(told).toMatchObject({ code: "invalid_input" });
});

test("path parameters override query and body", async () => {
  expect(await bound("/4/in?page=3")).toMatchObject({ page: 4 });
  expect(await bound("/4/in", post('{"page":3}', "application/json"))).toMatchObject({ page: 4 });
});

test.each(["", "{", "[]", "null", '"x"'])("JSON that is not an object has no fields: %s", async (body) => {
  expect(await bound("/in", post(body, "application/json"))).toMatchObject({ code: "invalid_input" });
});

test("a field of another type is skipped and the others are kept", async () => {
  const body = '{"page":3,"name":5,"on":"yes","tags":"x"}';
  expect(await bound("/in", post(body, "application/json"))).toEqual({
    page: 3,
    name: "",
    on: false,
    tags: null,
  });
});

test("a body over the bound is refused with payload_too_large", async () => {
  expect(await bound("/in", post("x".repeat(1001), "application/json"))).toMatchObject({
    code: "payload_too_large",
  });
});
