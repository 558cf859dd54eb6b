/** Endpoints as Dify manages them: what each route answers, and in which words it refuses. */
import { randomUUID } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  ENDPOINTS,
  hooksPackage,
  install,
  openEndpointDoor,
  PLUGIN,
  SETTINGS,
  UID,
} from "../harness/rigs/endpoint-door.ts";
import { OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";
import { type FakeInnerApi, useInnerApi } from "../harness/servers/inner-api.ts";

let api: FakeInnerApi;
useInnerApi((started) => {
  api = started;
});
const aDoor = (options?: Parameters<typeof openEndpointDoor>[1]) => openEndpointDoor(api, options);

const OK = { status: 200, data: true };

const refused = (code: number, type: string, message: string, status = 200) => ({
  status,
  code,
  type,
  message,
});

const BAD = "PluginDaemonBadRequestError";

const INTERNAL = "PluginDaemonInternalServerError";

const NOT_FOUND = "PluginDaemonNotFoundError";

describe("an endpoint's life", () => {
  test("must be identical 9: it is set up, listed with masked settings, disabled, enabled and removed", async () => {
    const { door, setup, get, post, list } = await aDoor();
    expect(await setup()).toEqual(OK);
    expect(door.memory.endpoints[0]?.settings).toEqual({ api_key: "platform:terces-gnol-a", mode: "fast" });
    const [one] = await list();
    expect((await get("list?page=1&page_size=100")).data).toEqual([
      {
        id: one?.id,
        created_at: expect.any(String),
        updated_at: expect.any(String),
        name: "first",
        hook_id: expect.stringMatching(/^[a-z0-9]{16}$/),
        tenant_id: TENANT,
        user_id: "u1",
        plugin_id: PLUGIN,
        expired_at: "2050-01-01T00:00:00Z",
        enabled: true,
        settings: { api_key: "a-*********et", mode: "fast" },
        declaration: { settings: SETTINGS, endpoints: ENDPOINTS },
      },
    ]);
    for (const [work, enabled] of [
      ["disable", false],
      ["disable", false],
      ["enable", true],
      ["enable", true],
    ] as const) {
      expect(await post(work, { endpoint_id: one?.id, user_id: "ignored" })).toEqual(OK);
      expect(door.memory.endpoints[0]?.enabled).toBe(enabled);
    }
    expect(await post("remove", { endpoint_id: one?.id })).toEqual(OK);
    expect(await list()).toEqual([]);
  });

  test("a secret that comes back masked stays, a new value replaces it, and the platform's cache is cleared", async () => {
    const { setup, post, list, first } = await aDoor();
    await setup();
    const { id, settings } = await first();
    api.asked.length = 0;
    const change = { endpoint_id: id, user_id: "u2", name: "second" };
    expect(await post("update", { ...change, settings: { ...settings, mode: null } })).toEqual(OK);
    const asked = api.asked.map(({ body }) => JSON.parse(body));
    expect(asked.slice(0, 3).map(({ opt, user_id }) => [opt, user_id])).toEqual([
      ...[
        ["decrypt", "u2"],
        ["encrypt", "u2"],
        ["clear", "u2"],
      ],
    ]);
    expect(asked[1].data).toEqual({ api_key: "a-long-secret", mode: null });
    expect(asked[1].identity).toBe(id);
    expect(await list()).toMatchObject([{ id, name: "second", settings: { api_key: "a-*********et" } }]);
    expect(await post("update", { ...change, settings: { api_key: "other" } })).toEqual(OK);
    expect(await list()).toMatchObject([{ settings: { api_key: "*****" } }]);
  });

  test("without a platform Berth seals the secrets, and everything else is the same", async () => {
    const { door, setup, post, first } = await aDoor({ platform: false });
    await setup();
    expect(String(door.memory.endpoints[0]?.settings["api_key"])).toMatch(/^berth:1:test:/);
    const { id, settings } = await first();
    expect(settings).toEqual({ api_key: "a-*********et", mode: "fast" });
    expect(await post("update", { endpoint_id: id, user_id: "u", name: "n", settings })).toEqual(OK);
    expect((await first()).settings).toEqual(settings);
    expect(api.asked).toEqual([]);
  });

  test("the log contains no secret", async () => {
    const { door, setup } = await aDoor();
    await setup();
    api.answer = (response) => response.writeHead(500).end("no");
    await setup();
    expect(door.logged.filter(({ op }) => op === "http.request")).toHaveLength(2);
    expect(JSON.stringify(door.logged)).not.toContain("a-long-secret");
  });
});

describe("setup", () => {
  test.each<[string, object, ReturnType<typeof refused>]>([
    [
      "a package that is not installed",
      { plugin_unique_identifier: UID.replace("1.0.0", "1.0.1") },
      refused(-404, "PluginNotFoundError", "plugin not found"),
    ],
    [
      "settings without a required field",
      { settings: {} },
      refused(-400, BAD, "failed to validate settings: missing required setting: api_key"),
    ],
    [
      "no settings",
      { settings: null },
      refused(-400, BAD, "failed to validate settings: missing required setting: api_key"),
    ],
    [
      "an unknown choice",
      { settings: { api_key: "k", mode: "slow" } },
      refused(-400, BAD, "failed to validate settings: setting mode is not a valid option"),
    ],
    [
      "an invalid identifier",
      { plugin_unique_identifier: "x" },
      refused(
        -400,
        BAD,
        expect.stringContaining("'PluginUniqueIdentifier' failed on the 'plugin_unique_identifier' tag"),
        400,
      ),
    ],
    [
      "neither user nor name",
      { user_id: "", name: "" },
      refused(-400, BAD, expect.stringMatching(/'UserID'.*'required'.*'Name'.*'required'/s), 400),
    ],
    [
      "a name that is too long",
      { name: "n".repeat(128) },
      refused(-500, INTERNAL, expect.stringContaining("failed to setup endpoint: name")),
    ],
  ])("%s is refused in the daemon's words, and no endpoint is stored", async (_name, changes, answer) => {
    const { door, setup } = await aDoor();
    expect(await setup(changes)).toEqual(answer);
    expect(door.memory.endpoints).toEqual([]);
  });

  test("a plugin without the endpoint permission or without endpoints is refused with that reason", async () => {
    const { door, setup } = await aDoor();
    install(door, hooksPackage(door, { name: "mute", declaration: { resource: { permission: {} } } }));
    install(door, hooksPackage(door, { name: "bare", declaration: { endpoint: null } }));
    const message = "permission denied, you need to enable endpoint access in plugin manifest";
    expect(await setup({ plugin_unique_identifier: UID.replace("hooks", "mute") })).toEqual(
      refused(-403, "PluginPermissionDeniedError", message),
    );
    expect(await setup({ plugin_unique_identifier: UID.replace("hooks", "bare") })).toEqual(
      refused(-400, BAD, "plugin does not have an endpoint"),
    );
  });

  test("improved 1: an endpoint whose settings cannot be encrypted is not stored", async () => {
    const { door, setup } = await aDoor();
    api.answer = (response) => response.writeHead(500).end("no");
    const why = "request failed with status code: 500 and respond with: no";
    expect(await setup()).toEqual(refused(-500, INTERNAL, `failed to encrypt settings: ${why}`));
    api.answer = (response) => response.end('{"data":null,"error":"denied"}');
    expect(await setup()).toEqual(
      refused(-500, INTERNAL, "failed to encrypt settings: request failed: denied"),
    );
    expect(door.memory.endpoints).toEqual([]);
  });
});

describe("update, remove, enable and disable", () => {
  const none = randomUUID();
  test.each<[string, object, ReturnType<typeof refused>]>([
    [
      "update",
      { endpoint_id: none, user_id: "u", name: "n" },
      refused(-404, NOT_FOUND, "failed to find endpoint: record not found"),
    ],
    ["remove", { endpoint_id: none }, refused(-500, INTERNAL, "failed to remove endpoint: record not found")],
    ["enable", { endpoint_id: none }, refused(-404, NOT_FOUND, "endpoint not found")],
    ["disable", { endpoint_id: none }, refused(-404, NOT_FOUND, "endpoint not found")],
    [
      "update",
      { endpoint_id: "x", user_id: "u", name: "n" },
      refused(-404, NOT_FOUND, 'failed to find endpoint: invalid input syntax for type uuid: "x"'),
    ],
    [
      "remove",
      { endpoint_id: "x" },
      refused(-500, INTERNAL, 'failed to remove endpoint: invalid input syntax for type uuid: "x"'),
    ],
    [
      "enable",
      { endpoint_id: "x" },
      refused(-500, INTERNAL, 'failed to enable endpoint: invalid input syntax for type uuid: "x"'),
    ],
    [
      "remove",
      {},
      refused(-400, BAD, expect.stringContaining("'EndpointID' failed on the 'required' tag"), 400),
    ],
  ])("%s of an endpoint that does not exist is refused: %j", async (route, body, answer) => {
    const { post } = await aDoor();
    expect(await post(route, body)).toEqual(answer);
  });

  test("an endpoint of another tenant is treated as if it did not exist", async () => {
    const { door, setup, post, first, list } = await aDoor();
    await setup();
    install(door, hooksPackage(door), OTHER_TENANT);
    const { id } = await first();
    const before = structuredClone(door.memory.endpoints);
    const body = { endpoint_id: id, user_id: "u", name: "theirs", settings: { api_key: "theirs" } };
    for (const route of ["update", "remove", "enable", "disable"]) {
      const other = await post(route, { ...body, endpoint_id: none }, OTHER_TENANT);
      expect(await post(route, body, OTHER_TENANT)).toEqual(other);
    }
    expect(await list("list?page=1&page_size=10", OTHER_TENANT)).toEqual([]);
    expect(await list(`list/plugin?plugin_id=${PLUGIN}&page=1&page_size=10`, OTHER_TENANT)).toEqual([]);
    expect(door.memory.endpoints).toEqual(before);
  });

  test("a failed update names the step that failed", async () => {
    const { door, setup, post, first } = await aDoor();
    await setup();
    const { id } = await first();
    const update = () =>
      post("update", { endpoint_id: id, user_id: "u", name: "n", settings: { api_key: "k" } });
    for (const [opt, told] of [
      ["decrypt", "failed to decrypt settings"],
      ["encrypt", "failed to encrypt settings"],
      ["clear", "failed to clear credentials cache"],
    ]) {
      api.answer = (response) => {
        const asked = JSON.parse(api.asked.at(-1)?.body ?? "{}");
        const answer = asked.opt === opt ? { error: "no" } : { data: { data: asked.data }, error: "" };
        response.end(JSON.stringify(answer));
      };
      expect(await update()).toEqual(refused(-500, INTERNAL, `${told}: request failed: no`));
    }
    api.answer = undefined;
    door.memory.installations.length = 0;
    expect(await update()).toEqual(
      refused(-404, NOT_FOUND, "failed to find plugin installation: record not found"),
    );
  });
});

describe("lists", () => {
  test("improved 1: the endpoint of a plugin that is no longer installed is listed without settings", async () => {
    const { door, setup, list, get } = await aDoor();
    await setup();
    door.memory.installations.length = 0;
    expect((await get("list?page=1&page_size=10")).data).toMatchObject([
      { settings: {}, declaration: { settings: [], endpoints: [] } },
    ]);
    expect(await get(`list/plugin?plugin_id=${PLUGIN}&page=1&page_size=10`)).toEqual(
      refused(-404, NOT_FOUND, "failed to find plugin installation: record not found"),
    );
    expect(await list("list/plugin?plugin_id=acme/none&page=1&page_size=10")).toEqual([]);
  });

  test("an endpoint whose secrets cannot be read is listed without them and does not break the list", async () => {
    const { door, setup, list } = await aDoor();
    await setup({ name: "whole" });
    await setup({ name: "broken" });
    const [, broken] = door.memory.endpoints;
    if (broken === undefined) throw new Error("no second endpoint");
    const settings = { api_key: `berth:1:gone:${"A".repeat(16)}:${"A".repeat(30)}`, mode: "fast" };
    door.memory.endpoints[1] = { ...broken, settings };
    expect(await list()).toMatchObject([
      { name: "broken", settings: { mode: "fast" } },
      { name: "whole", settings: { api_key: "a-*********et", mode: "fast" } },
    ]);
  });

  test("a platform that does not answer is reported as an error, not as endpoints without secrets", async () => {
    const { setup, get } = await aDoor();
    await setup();
    api.answer = (response) => response.writeHead(503).end("later");
    const why = "request failed with status code: 503 and respond with: later";
    for (const path of ["list?", `list/plugin?plugin_id=${PLUGIN}&`])
      expect(await get(`${path}page=1&page_size=10`)).toEqual(
        refused(-500, INTERNAL, `failed to decrypt settings: ${why}`),
      );
  });

  test("a plugin whose declaration has no endpoints any more does not break a list either", async () => {
    const { door, setup, list } = await aDoor();
    await setup();
    door.memory.packages[1] = hooksPackage(door, { declaration: { endpoint: null } });
    expect((await list())[0]?.settings).toEqual({});
    const nothing = { settings: null, endpoints: null };
    door.memory.packages[1] = hooksPackage(door, { declaration: { endpoint: nothing } });
    expect(await list()).toHaveLength(1);
  });

  test("a page has the same bounds as in the daemon", async () => {
    const { setup, get, list } = await aDoor();
    for (const name of ["a", "b", "c"]) await setup({ name });
    expect((await list("list?page=2&page_size=2")).map(({ name }) => name)).toEqual(["a"]);
    for (const [query, tag] of [
      ["list?page_size=10", "'Page' failed on the 'required' tag"],
      ["list?page=1", "'PageSize' failed on the 'required' tag"],
      ["list?page=1&page_size=101", "'PageSize' failed on the 'max' tag"],
      ["list/plugin?page=1&page_size=10", "'PluginID' failed on the 'required' tag"],
    ] as const)
      expect(await get(query)).toEqual(refused(-400, BAD, expect.stringContaining(tag), 400));
  });
});
