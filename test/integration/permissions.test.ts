/** What the operator grants: calls back, endpoints and hooks need it beside what the manifest asks for. */
import { afterEach, expect, test } from "vitest";
import { invokeTool } from "../harness/clients/invocations.ts";
import { until } from "../harness/clients/until.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { heldSessions } from "../harness/doubles/held-sessions.ts";
import { type Door, type DoorOptions, openDoor } from "../harness/rigs/door.ts";
import { TENANT } from "../harness/samples/callers.ts";

let door: Door;
let held: ReturnType<typeof heldSessions>;
afterEach(() => door[Symbol.asyncDispose]());

async function openWorld(options: DoorOptions = {}) {
  held = heldSessions();
  door = await openDoor({ script: held.script, ...options });
}
const path = () => `/v1/tenants/${TENANT}/installations/${door.memory.installations[0]?.id}`;
async function set(permissions: object, status = 200) {
  const answer = await door.ask("PUT", `${path()}/permissions`, { body: { permissions } });
  const shown = (await answer.json()) as { permissions: object; error: { details: object } };
  expect([answer.status, shown]).toEqual([status, shown]);
  return shown;
}

/** What a tool reads for one call back to its storage. */
async function storageCall(): Promise<{ event: string; message: string } | undefined> {
  const asked = invokeTool(door);
  const session = (await held.first(held.sessions.length + 1)) as FakeSession;
  const request = { opt: "exist", key: "k" };
  session.invoke({ type: "storage", backwards_request_id: "b", request });
  await until(() => session.sent.length === 2);
  session.end();
  await (await asked).text();
  const [line = "{}"] = session.sent;
  return (JSON.parse(line) as { data: { event: string; message: string } }).data;
}
const REFUSED = {
  event: "error",
  message:
    "storage: storage needs resource.permission.storage.enabled: the plugin's manifest asks for it, and the operator does not grant it.",
};

test("what the manifest asks for is granted by default, and the operator can refuse it and grant it again", async () => {
  await openWorld();
  expect(await storageCall()).toMatchObject({ event: "response" });
  const { permissions } = await set({ storage: false, app: true });
  expect(permissions).toMatchObject({
    storage: { asked: true, chosen: false, granted: false },
    app: { asked: false, chosen: true, granted: false },
    "model.llm": { asked: true, chosen: null, granted: true },
  });
  expect(await storageCall()).toMatchObject(REFUSED);
  const detail = (await (await door.ask("GET", path())).json()) as object;
  expect(detail).toMatchObject({ permissions });
  await set({});
  expect(await storageCall()).toMatchObject({ event: "response" });
});

test("with the default `refuse` nothing is granted before the operator grants it", async () => {
  await openWorld({ settings: { permissionDefault: "refuse" } });
  expect(await storageCall()).toMatchObject(REFUSED);
  await set({ storage: true });
  expect(await storageCall()).toMatchObject({ event: "response" });
});

test("a permission that does not exist is refused, with those that do", async () => {
  await openWorld();
  expect((await set({ llm: false }, 400)).error).toMatchObject({ code: "invalid_input" });
});

test("without the operator's grant a plugin gets no endpoint, and the hooks that it has are refused", async () => {
  const endpoint = { settings: [], endpoints: [] };
  const resource = { memory: 1, permission: { endpoint: { enabled: true } } };
  await openWorld({ declaration: { endpoint, resource } });
  const create = () =>
    door.ask("POST", `/v1/tenants/${TENANT}/endpoints`, { body: { plugin_id: "berth/echo", name: "a" } });
  expect((await create()).status).toBe(201);
  await set({ endpoint: false });
  const refused = await create();
  expect([refused.status, await refused.json()]).toMatchObject([
    403,
    {
      error: { code: "permission_denied", details: { permission: "endpoint", asked: true, granted: false } },
    },
  ]);
  const { url } = await door.listen();
  const hook = await fetch(`${url}/e/${door.memory.endpoints[0]?.hookId}/x`);
  expect([hook.status, await hook.text()]).toEqual([
    403,
    expect.stringContaining("the operator does not grant it"),
  ]);
  expect(held.sessions).toEqual([]);
});

test("an operator can choose with the install, and a tenant's key cannot choose at all", async () => {
  await openWorld();
  const { key } = await door.keyring.create({ name: "k", tenantId: TENANT });
  const identifier = door.memory.packages[0]?.identifier;
  const install = (more: object) =>
    door.ask("POST", `/v1/tenants/${TENANT}/installations`, {
      body: { permissions: { tool: false }, ...more },
    });
  const answer = await install({ identifier });
  expect([answer.status, await answer.json()]).toMatchObject([202, { installation: { identifier } }]);
  expect((await install({ bundle: "b" })).status).toBe(400);
  const body = { identifier, permissions: { tool: true } };
  const denied = await door.ask("POST", `/v1/tenants/${TENANT}/installations`, { key, body });
  expect([denied.status, await denied.json()]).toMatchObject([
    403,
    { error: { code: "forbidden", details: { field: "permissions" } } },
  ]);
});
