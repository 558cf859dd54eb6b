/** Endpoints over /v1. */
import { randomUUID } from "node:crypto";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { anInstallation } from "../harness/builders/an-installation.ts";
import { type Door, openDoor } from "../harness/rigs/door.ts";
import { OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

const PLUGIN = "acme/hooks";
const UID = `${PLUGIN}:1.0.0@${"cd".repeat(32)}`;
const SETTINGS = [{ name: "api_key", type: "secret-input", required: true, label: { en_US: "Key" } }];
const PATH = `/v1/tenants/${TENANT}/endpoints`;

const Shown = z.object({ id: z.string(), url: z.string(), hook_id: z.string(), settings: z.unknown() });
const Refused = z.object({
  error: z.object({ code: z.string(), message: z.string(), details: z.unknown().optional() }),
});

async function aDoor(): Promise<Door> {
  const door = await openDoor();
  onTestFinished(() => door[Symbol.asyncDispose]());
  const [echo] = door.memory.packages;
  if (echo === undefined) throw new Error("the door has no package");
  const endpoint = { settings: SETTINGS, endpoints: [{ path: "/", method: "GET", hidden: false }] };
  const resource = { permission: { endpoint: { enabled: true } } };
  const pkg = { ...echo, identifier: UID, pluginId: PLUGIN, declaration: { endpoint, resource } };
  door.memory.packages.push(pkg);
  for (const tenantId of [TENANT, OTHER_TENANT])
    door.memory.installations.push(anInstallation({ identifier: UID, pluginId: PLUGIN, tenantId }));
  return door;
}

const setUp = (door: Door, changes: object = {}) =>
  door.ask("POST", PATH, {
    body: { plugin_id: PLUGIN, name: "mine", settings: { api_key: "a-long-secret" }, ...changes },
  });
const made = async (door: Door) => Shown.parse(await (await setUp(door)).json());
const errorOf = async (answer: Response) => {
  const { code, details } = Refused.parse(await answer.json()).error;
  return [answer.status, code, details];
};

test("an endpoint is created with its hook in the answer, and its secret is never shown", async () => {
  const door = await aDoor();
  const answer = await setUp(door, { user_id: "u1" });
  expect(answer.status).toBe(201);
  const text = await answer.text();
  const shown = Shown.loose().parse(JSON.parse(text));
  expect(answer.headers.get("location")).toBe(`${PATH}/${shown.id}`);
  expect(shown).toMatchObject({
    tenant_id: TENANT,
    plugin_id: PLUGIN,
    user_id: "u1",
    name: "mine",
    enabled: true,
    cause: null,
    url: `/e/${shown.hook_id}`,
    settings: { api_key: "a-*********et" },
    settings_schema: SETTINGS,
    endpoints: [{ path: "/", method: "GET", hidden: false }],
  });
  for (const path of [`${PATH}/${shown.id}`, PATH, `${PATH}?plugin_id=${PLUGIN}`]) {
    const read = await (await door.ask("GET", path)).text();
    expect(read).toContain(text);
    expect(read).not.toContain("a-long-secret");
  }
  expect(await (await door.ask("GET", `${PATH}?plugin_id=acme/other`)).json()).toMatchObject({ items: [] });
});

test("an endpoint can be renamed, changed with its masked secret, enabled, disabled and removed", async () => {
  const door = await aDoor();
  const { id, settings } = await made(door);
  const sealed = door.memory.endpoints[0]?.settings;
  const renamed = await door.ask("PATCH", `${PATH}/${id}`, { body: { name: "other" } });
  expect(await renamed.json()).toMatchObject({ name: "other", settings });
  expect(door.memory.endpoints[0]?.settings).toEqual(sealed);
  const changed = await door.ask("PATCH", `${PATH}/${id}`, {
    body: { settings: { ...Object(settings), more: 1 } },
  });
  expect(await changed.json()).toMatchObject({
    name: "other",
    settings: { api_key: "a-*********et", more: 1 },
  });
  for (const [work, enabled] of [
    ["disable", false],
    ["disable", false],
    ["enable", true],
  ] as const) {
    expect((await door.ask("POST", `${PATH}/${id}/${work}`)).status).toBe(204);
    expect(door.memory.endpoints[0]?.enabled).toBe(enabled);
  }
  expect((await door.ask("DELETE", `${PATH}/${id}`)).status).toBe(204);
  expect(await errorOf(await door.ask("GET", `${PATH}/${id}`))).toMatchObject([
    ...[404, "endpoint_not_found", expect.anything()],
  ]);
});

test("an invalid field is named with its value and what is accepted, and secrets are not shown", async () => {
  const door = await aDoor();
  const missing = { field: "settings.api_key", value: null, accepted: "a value of type secret-input" };
  expect(await errorOf(await setUp(door, { settings: {} }))).toEqual([400, "invalid_input", missing]);
  const number = { field: "settings.api_key", value: "a number", accepted: "a string" };
  expect(await errorOf(await setUp(door, { settings: { api_key: 5 } }))).toEqual([
    400,
    "invalid_input",
    number,
  ]);
  expect(await errorOf(await setUp(door, { name: "" }))).toMatchObject([
    400,
    "invalid_input",
    { field: "name" },
  ]);
  expect(await errorOf(await setUp(door, { name: "a\u0000b" }))).toMatchObject([
    400,
    "invalid_input",
    { field: "name" },
  ]);
  expect(await errorOf(await setUp(door, { plugin_id: "acme/none" }))).toMatchObject([
    404,
    "installation_not_found",
    expect.anything(),
  ]);
  expect(await errorOf(await setUp(door, { plugin_id: "berth/echo" }))).toMatchObject([
    403,
    "permission_denied",
    expect.anything(),
  ]);
  expect(door.memory.endpoints).toEqual([]);
});

test("another tenant's endpoint is treated as if it did not exist", async () => {
  const door = await aDoor();
  const { id } = await made(door);
  const before = structuredClone(door.memory.endpoints);
  const theirs = `/v1/tenants/${OTHER_TENANT}/endpoints`;
  for (const [method, path, body] of [
    ["GET", "", undefined],
    ["PATCH", "", { name: "theirs" }],
    ["DELETE", "", undefined],
    ["POST", "/enable", undefined],
    ["POST", "/disable", undefined],
  ] as const)
    for (const one of [id, randomUUID()])
      expect(await errorOf(await door.ask(method, `${theirs}/${one}${path}`, { body }))).toMatchObject([
        ...[404, "endpoint_not_found", expect.anything()],
      ]);
  expect(await (await door.ask("GET", theirs)).json()).toMatchObject({ items: [] });
  expect(door.memory.endpoints).toEqual(before);
});

test("a change with a masked secret keeps the new secret of a concurrent change", async () => {
  const door = await aDoor();
  const { id, settings } = await made(door);
  const { endpoints } = door.memory.store;
  let isFirst = true;
  const overtaken: typeof endpoints.find = async (at) => {
    const record = await endpoints.find(at);
    if (!isFirst) return record;
    isFirst = false;
    await door.ask("PATCH", `${PATH}/${id}`, { body: { settings: { api_key: "another-secret" } } });
    return record;
  };
  const rows = new Proxy(endpoints, {
    get: (target, key) => (key === "find" ? overtaken : Reflect.get(target, key)),
  });
  Object.assign(door.memory.store, { endpoints: rows });
  const late = await door.ask("PATCH", `${PATH}/${id}`, {
    body: { settings: { ...Object(settings), more: 1 } },
  });
  expect(await late.json()).toMatchObject({ settings: { api_key: "an**********et", more: 1 } });
});

test("a secret that cannot be opened is left out with its cause, and can be set again", async () => {
  const door = await aDoor();
  const { id } = await made(door);
  const [record] = door.memory.endpoints;
  if (record === undefined) throw new Error("there is no endpoint");
  const settings = { api_key: String(record.settings["api_key"]).replace(":test:", ":gone:"), more: 1 };
  door.memory.endpoints[0] = { ...record, settings, revision: JSON.stringify(settings) };
  expect(await (await door.ask("GET", `${PATH}/${id}`)).json()).toMatchObject({
    settings: { more: 1 },
    cause: { code: "secret_unreadable" },
  });
  const masked = { settings: { api_key: "a-*********et" } };
  expect(await errorOf(await door.ask("PATCH", `${PATH}/${id}`, { body: masked }))).toMatchObject([
    ...[500, "secret_unreadable", expect.anything()],
  ]);
  const anew = await door.ask("PATCH", `${PATH}/${id}`, { body: { settings: { api_key: "new-secret" } } });
  expect(await anew.json()).toMatchObject({ settings: { api_key: "ne******et" }, cause: null });
});
