/** What callers may put into bodies, paths and queries, on every route of both doors: a refusal that says where. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { JSON_DEPTH_MAX } from "../../src/domain/json.ts";
import { type Door, openDoor } from "../harness/rigs/door.ts";
import { ADMIN_KEY, DIFY_ADMIN_KEY, DIFY_KEY, TENANT } from "../harness/samples/callers.ts";

let door: Door;
let url: string;
beforeAll(async () => {
  door = await openDoor();
  ({ url } = await door.listen());
});
afterAll(() => door[Symbol.asyncDispose]());

const HEADERS = {
  authorization: `Bearer ${ADMIN_KEY}`,
  "x-api-key": DIFY_KEY,
  "x-admin-api-key": DIFY_ADMIN_KEY,
  "content-type": "application/json",
  "x-plugin-id": "berth/echo",
  "x-plugin-unique-identifier": `berth/echo:0.0.1@${"ab".repeat(32)}`,
};

interface Told {
  readonly status: number;
  readonly text: string;
}

async function told(method: string, path: string, body?: string): Promise<Told> {
  const answer = await fetch(new URL(path, url), {
    method,
    headers: HEADERS,
    redirect: "manual",
    ...(body !== undefined && method !== "GET" && { body }),
  });
  return { status: answer.status, text: await answer.text() };
}

const lists = (levels: number) => `${"[".repeat(levels)}${"]".repeat(levels)}`;
const deep = (levels: number) => `{"user_id":"u","a":{"b":${lists(levels - 2)}}}`;
const wide = `{"user_id":"u","a":[${"[],".repeat(21_000)}1]}`;

/** Bodies that every route refuses, and what the refusal must say. */
const REFUSED: readonly [name: string, body: string, says: RegExp][] = [
  ["nested one level too deep", deep(JSON_DEPTH_MAX + 1), /nests 129 levels deep, in a\.b\.0.*at most 128/],
  ["nested 250 deep", deep(250), /nests 250 levels deep.*at most 128/],
  ["nested 8,000 deep", deep(8000), /nests 8000 levels deep.*at most 128/],
  [
    "with objects nested 8,000 deep",
    `{"a":${'{"a":'.repeat(8000)}1${"}".repeat(8000)}}`,
    /nests 8001 levels/,
  ],
  ["with half a surrogate pair", '{"user_id":"a\\ud800"}', /user_id holds half a surrogate pair/],
  ["with half a surrogate pair in a name", '{"a":{"\\udfff":1}}', /a holds half a surrogate pair/],
];
/** And those whose texts go into rows. */
const UNSTORABLE: typeof REFUSED = [
  ["with U+0000", '{"a":[{"b":"x\\u0000y"}]}', /a\.0\.b holds the character U\+0000/],
  ["with U+0000 in a name", '{"a\\u0000":1}', /body holds the character U\+0000/],
  ["with 21,000 values", wide, /too many values, in a\.\d+.*at most 20000/],
];
const TWICE: typeof REFUSED = [["that names a field twice", '{"x":1,"y":2,"x":3}', /has ."x." twice/]];

/** Neither refused nor accepted as such: they must change nothing and break nothing. */
const ODD: readonly [name: string, body: string][] = [
  ["that sets a prototype", '{"__proto__":{"polluted":1},"constructor":{"prototype":{"polluted":1}}}'],
  [
    "with member names that every object has",
    '{"toString":1,"hasOwnProperty":1,"valueOf":{"__proto__":null}}',
  ],
  ["that is empty", ""],
  ["that is null", "null"],
  ["that is a list", "[]"],
  ["that is a number of 400 digits", "9".repeat(400)],
  ["nested to the accepted depth", deep(JSON_DEPTH_MAX)],
];

/** Each route of `/v1` that takes JSON, by the document. */
async function jsonRoutes(): Promise<[method: string, path: string][]> {
  const { paths } = (await (await fetch(new URL("/openapi.json", url))).json()) as {
    paths: Record<string, Record<string, { requestBody?: { content: Record<string, unknown> } }>>;
  };
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods)
      .filter(([, { requestBody }]) => requestBody?.content["application/json"] !== undefined)
      .map(([method]): [string, string] => [method.toUpperCase(), filled(path)]),
  );
}

const UUID = "6f1a1c1e-0000-4000-8000-00000000000a";

function filled(path: string): string {
  return path
    .replace("{tenant}", TENANT)
    .replace("{author}/{name}", "berth/echo")
    .replace("{checksum}", "ab".repeat(32))
    .replaceAll(/\{\w+\}/g, UUID);
}

const difyPath = (path: string) =>
  path.replace(":tenant_id", TENANT).replaceAll(/:\w+(\{[^}]*\})?|\*/g, UUID);

const difyRoutes = () =>
  door.app.dify.table
    .filter(
      ({ method, path }) => method === "POST" && /^\/(plugin|v2)\//.test(path) && !path.includes("debug"),
    )
    .map(({ path }) => difyPath(path));

describe("a body of /v1", () => {
  test.each([...REFUSED, ...TWICE])("%s is refused by every route", async (_, body, says) => {
    const routes = await jsonRoutes();
    expect(routes.length).toBeGreaterThan(45);
    for (const [method, path] of routes) {
      const { status, text } = await told(method, path, body);
      expect({ path, status, text }).toMatchObject({ path, status: 400, text: expect.stringMatching(says) });
      expect(JSON.parse(text)).toMatchObject({
        error: {
          code: "invalid_input",
          details: { field: expect.any(String), accepted: expect.any(String) },
        },
      });
    }
  });

  test.each(UNSTORABLE)("%s is refused by every route that stores text", async (_, body, says) => {
    const routes = (await jsonRoutes()).filter(([, path]) => !path.includes("/invoke"));
    expect(routes.length).toBeGreaterThan(8);
    for (const [method, path] of routes) {
      const { status, text } = await told(method, path, body);
      expect({ path, status, text }).toMatchObject({ path, status: 400, text: expect.stringMatching(says) });
    }
  });

  test.each(ODD)("%s is answered by every route and pollutes no prototype", async (_, body) => {
    for (const [method, path] of await jsonRoutes()) {
      const { status, text } = await told(method, path, body);
      expect({ path, status: Math.floor(status / 100) }).toEqual({ path, status: 4 });
      expect(JSON.parse(text)).toMatchObject({ error: { code: expect.any(String) } });
    }
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

describe("a body of the daemon's routes", () => {
  test.each(REFUSED)("%s is refused by every route in the daemon's words", async (_, body, says) => {
    expect(difyRoutes().length).toBeGreaterThan(85);
    for (const path of difyRoutes()) {
      const { status, text } = await told("POST", path, body);
      expect({ path, status, text }).toMatchObject({ path, status: 400, text: expect.stringMatching(says) });
      expect(JSON.parse(text)).toMatchObject({ code: -400, data: null });
    }
  });

  test.each(UNSTORABLE)("%s is refused by every route that stores text", async (_, body, says) => {
    for (const path of difyRoutes().filter((one) => !one.includes("/dispatch/"))) {
      const { status, text } = await told("POST", path, body);
      expect({ path, status, text }).toMatchObject({ path, status: 400, text: expect.stringMatching(says) });
    }
  });

  test.each(ODD)("%s is answered by every route and pollutes no prototype", async (_, body) => {
    for (const path of difyRoutes()) {
      const { status, text } = await told("POST", path, body);
      expect({ path, isAnswered: status < 500 || text.includes("PluginDaemonBadRequestError") }).toEqual({
        path,
        isAnswered: true,
      });
      expect(JSON.parse(text)).toHaveProperty("code");
    }
    expect(Reflect.get({}, "polluted")).toBeUndefined();
  });
});

describe("U+0000 and half a surrogate pair in an address", () => {
  const bad = ["%00", "a%00b", "%ED%A0%80", "%ed%bf%bf"];

  test("are refused in every path parameter of /v1", async () => {
    let tried = 0;
    for (const { method, path } of door.app.routes.table) {
      const places = path.match(/\{\w+\}/g) ?? [];
      for (const place of places) {
        const to = filled(path.replace(place, bad[tried++ % bad.length] ?? ""));
        const { status, text } = await told(method.toUpperCase(), to);
        expect({ to, status, text }).toMatchObject({
          to,
          status: 400,
          text: expect.stringContaining("invalid_input"),
        });
        expect(JSON.parse(text)).toMatchObject({ error: { details: { field: "path" } } });
      }
    }
    expect(tried).toBeGreaterThan(100);
  });

  test("are refused in every path parameter of the daemon's routes, in its words", async () => {
    let tried = 0;
    for (const { method, path } of door.app.dify.table) {
      const places = path.match(/:\w+(\{[^}]*\})?/g) ?? [];
      for (const place of places) {
        const to = difyPath(path.replace(place, bad[tried++ % bad.length] ?? ""));
        const { status, text } = await told(method, to);
        expect({ to, status }).toEqual({ to, status: 400 });
        if (method !== "HEAD") expect(JSON.parse(text)).toMatchObject({ code: -400, data: null });
      }
    }
    expect(tried).toBeGreaterThan(80);
  });

  test("are refused in every query, with the parameter named", async () => {
    for (const { method, path } of door.app.routes.table) {
      const { status, text } = await told(method.toUpperCase(), `${filled(path)}?limit=5&cursor=a%00b`);
      expect({ path, status, text }).toMatchObject({
        path,
        status: 400,
        text: expect.stringContaining('"cursor"'),
      });
    }
    for (const { method, path } of door.app.dify.table.filter((row) => !row.path.startsWith("/e/"))) {
      const { status, text } = await told(method, `${difyPath(path)}?plugin_id=a%00b`);
      expect({ path, status, text }).toMatchObject({
        path,
        status: 400,
        text: expect.stringContaining("plugin_id"),
      });
    }
  });

  test("are not refused below the address of a hook", async () => {
    const { status, text } = await told("GET", "/e/nobody/a%00b?c=%00");
    expect({ status, text }).toMatchObject({
      status: 404,
      text: expect.stringContaining("endpoint not found"),
    });
  });
});
