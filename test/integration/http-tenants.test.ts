/** Keys, tenants and events over HTTP: their input, their answers, and the caller in the audit. */
import { expect, test } from "vitest";
import type { AuditEvent } from "../../src/domain/audit.ts";
import { SCOPES } from "../../src/domain/scope.ts";
import { IDENTIFIER } from "../harness/builders/a-stored-package.ts";
import { anInstallation } from "../harness/builders/an-installation.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { ADMIN_KEY, OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

const errorOf = async (answer: Response) =>
  ((await answer.json()) as { error: { code: string; message: string; details: object } }).error;

test("a key is created with scopes and expiry, and listed with its state and last use", async () => {
  const door = await openTestDoor();
  const expiresAt = new Date(Date.now() + 3_600_000);
  const body = { name: "ci", scopes: ["read", "invoke", "read"], expires_at: expiresAt.toISOString() };
  const made = await door.ask("POST", "/v1/keys", { body });
  const { id, key, ...shown } = (await made.json()) as { id: string; key: string };
  expect([made.status, made.headers.get("cache-control"), shown]).toMatchObject([
    ...[201, "no-store"],
    {
      name: "ci",
      tenant_id: null,
      scopes: ["read", "invoke"],
      state: "valid",
      expires_at: expiresAt.toISOString(),
      last_used_at: null,
      revoked_at: null,
    },
  ]);
  await door.ask("POST", "/v1/keys", { body: { name: "acme", tenant_id: TENANT } });
  expect((await door.ask("GET", "/v1/packages", { key })).status).toBe(200);
  await door.ask("DELETE", `/v1/keys/${id}`);
  const list = await door.ask("GET", "/v1/keys");
  expect(await list.json()).toMatchObject({
    items: [
      { name: "acme", tenant_id: TENANT, scopes: SCOPES, state: "valid", last_used_at: null },
      { id, state: "revoked", last_used_at: expect.any(String) },
    ],
    next_cursor: null,
  });
  const mine = await door.ask("GET", `/v1/keys?tenant_id=${TENANT}`);
  expect(await mine.json()).toMatchObject({ items: [{ name: "acme" }] });
});

test.each([
  [{ name: "x", scopes: [] }, "scopes"],
  [{ name: "x", scopes: ["admin"] }, "scopes.0"],
  [{ name: "x", expires_at: "tomorrow" }, "expires_at"],
  [{ name: "x", expires_at: "2020-01-01T00:00:00Z" }, "expires_at"],
  [{ name: "" }, "name"],
])("the key %j is refused with its invalid field named", async (body, field) => {
  const door = await openTestDoor();
  const answer = await door.ask("POST", "/v1/keys", { body });
  expect([answer.status, await errorOf(answer)]).toMatchObject([
    ...[400, { code: "invalid_input", details: { field } }],
  ]);
  expect(door.memory.keys).toEqual([]);
});

test("a forbidden request names the missing scope and the scopes of the key", async () => {
  const door = await openTestDoor();
  const { key } = await door.keyring.create({ name: "k", tenantId: TENANT, scopes: ["read", "invoke"] });
  const answer = await door.ask("POST", `/v1/tenants/${TENANT}/installations`, {
    key,
    body: { identifier: IDENTIFIER },
  });
  expect(await errorOf(answer)).toEqual({
    code: "forbidden",
    message: "The key lacks the scope installations:write; it has read, invoke.",
    details: {
      field: "Authorization",
      value: { tenant_id: TENANT, scopes: ["read", "invoke"] },
      accepted: "a key with the scope installations:write",
    },
  });
});

test("tenants are listed and shown with counts and usage, and an unknown tenant is answered with 404", async () => {
  const door = await openTestDoor();
  const tenant = {
    id: TENANT,
    created_at: new Date(0).toISOString(),
    removing_task_id: null,
    installations: { total: 1, installing: 0, ready: 1, failed: 0, crash_loop: 0, disabled: 0, removing: 0 },
    packages_uploaded: 2,
    keys: 1,
    runtimes_running: 1,
    usage: { package_bytes: 300, storage_bytes: 40 },
  };
  expect(await (await door.ask("GET", "/v1/tenants")).json()).toEqual({ items: [tenant], next_cursor: null });
  expect(await (await door.ask("GET", `/v1/tenants/${TENANT}`)).json()).toEqual(tenant);
  const unknown = await door.ask("GET", `/v1/tenants/${OTHER_TENANT}`);
  expect([unknown.status, (await errorOf(unknown)).code]).toEqual([404, "not_found"]);
});

test("a removal is answered with 202 and the task's location, and the tenant's keys are invalid at once", async () => {
  const door = await openTestDoor();
  const { key, record } = await door.keyring.create({ name: "k", tenantId: TENANT });
  // what the accepting transaction does; the door must look at once, and not at its next poll
  await door.memory.store.keys.revoke(record.id);
  const answer = await door.ask("DELETE", `/v1/tenants/${TENANT}`);
  const { task } = (await answer.json()) as { task: { id: string } };
  expect([answer.status, answer.headers.get("location"), task]).toMatchObject([
    ...[202, `/v1/tenants/${TENANT}/tasks/${task.id}`],
    { kind: "remove_tenant", tenant_id: TENANT, installation_id: null, identifier: null, state: "queued" },
  ]);
  expect((await door.ask("GET", `/v1/tenants/${TENANT}`, { key })).status).toBe(401);
});

test("events have caller, kind and time; filters apply, and a tenant's key sees only events since the tenant was created", async () => {
  const door = await openTestDoor();
  const installationId = anInstallation().id;
  const asked: object[] = [];
  const event: AuditEvent = {
    id: "e1",
    at: new Date(0),
    kind: "installation.install",
    tenantId: TENANT,
    installationId,
    actor: { keyId: "admin", keyName: "admin", requestId: "r1" },
    taskId: undefined,
    subject: IDENTIFIER,
    result: "ready",
  };
  Object.assign(door.memory.store, {
    events: {
      list: (filter: object) => {
        asked.push(filter);
        return Promise.resolve({ items: [event], nextCursor: "next" });
      },
    },
    tenants: { find: () => Promise.resolve({ createdAt: new Date(5) }) },
  });
  const query = `installation_id=${installationId}&kind=installation.install`;
  const all = await door.ask("GET", `/v1/events?${query}&tenant_id=${TENANT}`);
  expect(await all.json()).toEqual({
    items: [
      {
        id: "e1",
        at: new Date(0).toISOString(),
        kind: "installation.install",
        key_id: "admin",
        key_name: "admin",
        request_id: "r1",
        tenant_id: TENANT,
        installation_id: installationId,
        task_id: null,
        subject: IDENTIFIER,
        result: "ready",
      },
    ],
    next_cursor: "next",
  });
  const { key } = await door.keyring.create({ name: "k", tenantId: TENANT });
  for (const by of [key, ADMIN_KEY])
    expect((await door.ask("GET", `/v1/tenants/${TENANT}/events?limit=1`, { key: by })).status).toBe(200);
  expect(asked).toEqual([
    { installationId, kind: "installation.install", tenantId: TENANT },
    { tenantId: TENANT, since: new Date(5) },
    { tenantId: TENANT },
  ]);
  const wrong = await door.ask("GET", "/v1/events?kind=everything");
  expect([wrong.status, (await errorOf(wrong)).details]).toMatchObject([400, { field: "kind" }]);
});
