import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { FAULTS } from "../../src/domain/fault.ts";
import { OPERATIONS } from "../../src/domain/operations/operations.ts";
import { IDENTIFIER } from "../harness/builders/a-stored-package.ts";
import { aTask } from "../harness/builders/a-task.ts";
import { parseEvents } from "../harness/clients/parse-events.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { ADMIN_KEY, OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

async function tenantKey(door: Awaited<ReturnType<typeof openTestDoor>>, tenantId = TENANT): Promise<string> {
  const { key } = await door.keyring.create({ name: "a tenant", tenantId });
  return key;
}

const errorOf = async (answer: Response) =>
  (await answer.json()) as {
    error: { code: string; message: string; details?: Record<string, unknown> };
    request_id: string;
  };

const installations = `/v1/tenants/${TENANT}/installations`;

test("a request without a key or with a wrong key is answered with 401 in the common error format", async () => {
  const door = await openTestDoor();
  for (const key of ["", "berth_wrong", `${ADMIN_KEY}x`]) {
    const answer = await door.ask("GET", "/v1/packages", { key });
    expect(answer.status).toBe(401);
    const { error, request_id } = await errorOf(answer);
    expect(error.code).toBe("unauthorized");
    expect(answer.headers.get("x-request-id")).toBe(request_id);
  }
});

test("a request id that fits a log line is returned, and any other is replaced", async () => {
  const door = await openTestDoor();
  const kept = await door.ask("GET", "/v1/packages", { headers: { "x-request-id": "mine-1" } });
  expect(kept.headers.get("x-request-id")).toBe("mine-1");
  const replaced = await door.ask("GET", "/v1/packages", { headers: { "x-request-id": "has spaces" } });
  expect(replaced.headers.get("x-request-id")).toMatch(/^[0-9a-f-]{36}$/);
});

test("a tenant's key opens its own tenant, but no other tenant and not the keys", async () => {
  const door = await openTestDoor();
  const key = await tenantKey(door);
  expect((await door.ask("GET", installations, { key })).status).toBe(200);
  expect((await door.ask("GET", `/v1/tenants/${OTHER_TENANT}/installations`, { key })).status).toBe(403);
  for (const [method, path] of [
    ["GET", "/v1/keys"],
    ["POST", "/v1/keys"],
    ["DELETE", "/v1/keys/x"],
  ] as const) {
    expect(
      (await door.ask(method, path, { key, ...(method === "POST" && { body: { name: "x" } }) })).status,
    ).toBe(403);
  }
});

test("a key is shown once, stored without its text, and refused after it is revoked", async () => {
  const door = await openTestDoor();
  const made = await door.ask("POST", "/v1/keys", { body: { name: "ci", tenant_id: TENANT.toUpperCase() } });
  expect(made.status).toBe(201);
  const { id, key, tenant_id } = (await made.json()) as { id: string; key: string; tenant_id: string };
  expect(key).toMatch(/^berth_[\w-]{32}$/);
  expect(tenant_id).toBe(TENANT);
  expect(await (await door.ask("GET", "/v1/keys")).text()).not.toContain(key);
  expect(JSON.stringify(door.memory.keys)).not.toContain(key);
  expect((await door.ask("GET", installations, { key })).status).toBe(200);
  expect((await door.ask("DELETE", `/v1/keys/${id}`)).status).toBe(200);
  expect((await door.ask("GET", installations, { key })).status).toBe(401);
  expect((await door.ask("DELETE", "/v1/keys/none")).status).toBe(404);
});

test("a tenant that is not a UUID is answered with 400 and with the field, the value and what is accepted", async () => {
  const door = await openTestDoor();
  const answer = await door.ask("GET", "/v1/tenants/acme/installations");
  expect(answer.status).toBe(400);
  expect((await errorOf(answer)).error).toMatchObject({
    code: "invalid_input",
    details: { field: "tenant", value: "acme", accepted: "a UUID" },
  });
});

test("an unknown field of a body or a query is refused with its name", async () => {
  const door = await openTestDoor();
  const body = await door.ask("POST", installations, { body: { identifier: IDENTIFIER, colour: "red" } });
  expect((await errorOf(body)).error.details).toMatchObject({ field: "colour", value: "red" });
  const query = await door.ask("GET", `${installations}?colour=red`);
  expect(query.status).toBe(400);
  expect((await errorOf(query)).error.details).toMatchObject({ field: "colour" });
});

test("malformed JSON, a wrong content type and a body over the limit are answered with 400, 415 and 413", async () => {
  const door = await openTestDoor();
  const broken = await door.ask("POST", installations, { body: "{" });
  expect([broken.status, (await errorOf(broken)).error.code]).toEqual([400, "invalid_json"]);
  const list = await door.ask("POST", installations, { body: "[]" });
  expect([list.status, (await errorOf(list)).error.code]).toEqual([400, "invalid_input"]);
  const typed = await door.ask("POST", installations, {
    body: "x",
    headers: { "content-type": "text/plain" },
  });
  expect(typed.status).toBe(415);
  expect((await errorOf(typed)).error.details).toMatchObject({
    value: "text/plain",
    accepted: ["application/json"],
  });
  const large = await door.ask("POST", installations, { body: { identifier: "x".repeat(70_000) } });
  expect([large.status, (await errorOf(large)).error.code]).toEqual([413, "payload_too_large"]);
});

test("an upload is answered with 201 and the package's details, with 200 if it exists, and with 400 if it is not a zip", async () => {
  const door = await openTestDoor();
  const headers = { "content-type": "application/octet-stream" };
  const created = await door.ask("POST", "/v1/packages", { body: "some bytes", headers });
  expect(created.status).toBe(201);
  expect(await created.json()).toMatchObject({
    identifier: IDENTIFIER,
    dialect: "real",
    warnings: ["a warning"],
    declaration: { name: "echo" },
    limits: { concurrency_max: 10, timeout_ms: 30_000 },
  });
  expect((await door.ask("POST", "/v1/packages", { body: "7 bytes", headers })).status).toBe(200);
  expect((await door.ask("POST", "/v1/packages", { body: "", headers })).status).toBe(400);
  expect((await door.ask("POST", "/v1/packages", { body: {} })).status).toBe(415);
});

test("a package is found by its plain or encoded identifier, and is 404 for a tenant that may not see it", async () => {
  const door = await openTestDoor();
  for (const path of [IDENTIFIER, encodeURIComponent(IDENTIFIER)]) {
    const answer = await door.ask("GET", `/v1/packages/${path}`);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toMatchObject({ identifier: IDENTIFIER, declaration: { author: "berth" } });
  }
  expect((await door.ask("GET", "/v1/packages/nobody/nothing:1@ff")).status).toBe(404);
  const foreign = await tenantKey(door, OTHER_TENANT);
  expect((await door.ask("GET", `/v1/packages/${IDENTIFIER}`, { key: foreign })).status).toBe(404);
  expect(await (await door.ask("GET", "/v1/packages")).json()).toMatchObject({ next_cursor: null });
});

test("an install is answered with 202 and the task's location, and an unknown identifier with 404", async () => {
  const door = await openTestDoor();
  const answer = await door.ask("POST", installations, {
    body: { identifier: IDENTIFIER },
    headers: { "idempotency-key": "once" },
  });
  expect(answer.status).toBe(202);
  const { task, installation } = (await answer.json()) as {
    task: { id: string };
    installation: { state: string };
  };
  expect(answer.headers.get("location")).toBe(`/v1/tenants/${TENANT}/tasks/${task.id}`);
  expect(installation.state).toBe("installing");
  expect((await door.ask("POST", installations, { body: { identifier: "no/such:1@ff" } })).status).toBe(404);
  const bad = await door.ask("POST", installations, {
    body: { identifier: IDENTIFIER },
    headers: { "idempotency-key": "a key" },
  });
  expect((await errorOf(bad)).error.details).toMatchObject({ field: "Idempotency-Key" });
});

test("an installation shows its state, its limits and its last task, and is 404 for another tenant", async () => {
  const door = await openTestDoor();
  const [installation] = door.memory.installations;
  if (installation === undefined) throw new Error("the harness has one");
  door.memory.tasks.push(aTask(installation));
  const answer = await door.ask("GET", `${installations}/${installation.id}`);
  expect(await answer.json()).toMatchObject({
    state: "ready",
    limits_asked: { memory_is_hard: false },
    limits_granted: { pids_max: 128 },
    last_task: { state: "ready" },
  });
  const elsewhere = `/v1/tenants/${OTHER_TENANT}/installations/${installation.id}`;
  expect((await door.ask("GET", elsewhere)).status).toBe(404);
  const removed = await door.ask("DELETE", `${installations}/${installation.id}`);
  expect([removed.status, (await removed.json()) as unknown]).toMatchObject([
    202,
    { task: { kind: "uninstall" } },
  ]);
});

test("a task's events have ids, continue after Last-Event-ID, and come as one document on request", async () => {
  const door = await openTestDoor();
  const [installation] = door.memory.installations;
  if (installation === undefined) throw new Error("the harness has one");
  const task = aTask(installation);
  door.memory.tasks.push(task);
  const at = new Date(0);
  door.memory.events.push(
    { seq: 1, at, type: "step", step: "queued" },
    { seq: 2, at, type: "step", step: "building" },
    { seq: 3, at, type: "end", state: "ready" },
  );
  const path = `/v1/tenants/${TENANT}/tasks/${task.id}`;
  expect(await (await door.ask("GET", path)).json()).toMatchObject({ id: task.id, state: "ready" });
  expect(await (await door.ask("GET", `/v1/tenants/${TENANT}/tasks`)).json()).toMatchObject({
    items: [{ id: task.id }],
  });
  const all = await door.ask("GET", `${path}/events`);
  expect(all.headers.get("content-type")).toContain("text/event-stream");
  const events = parseEvents(await all.text());
  expect(events.map(({ event, id }) => [event, id])).toEqual([
    ["step", "1"],
    ["step", "2"],
    ["end", "3"],
  ]);
  const rest = await door.ask("GET", `${path}/events`, { headers: { "last-event-id": "2" } });
  expect(parseEvents(await rest.text()).map(({ id }) => id)).toEqual(["3"]);
  const document = await door.ask("GET", `${path}/events`, { headers: { accept: "application/json" } });
  expect(await document.json()).toMatchObject({ items: [{ seq: 1 }, { seq: 2 }, { seq: 3 }] });
  expect((await door.ask("GET", `/v1/tenants/${OTHER_TENANT}/tasks/${task.id}/events`)).status).toBe(404);
});

test("a log is read as a document or followed as events, and in a shared pool by the operator only", async () => {
  const door = await openTestDoor();
  const [installation] = door.memory.installations;
  if (installation === undefined) throw new Error("the harness has one");
  const path = `${installations}/${installation.id}/logs`;
  expect(await (await door.ask("GET", `${path}?tail=10`)).json()).toMatchObject({
    items: [{ text: "hello", request_ids: [] }],
  });
  const followed = await door.ask("GET", `${path}?follow=true&since=2026-01-01T00:00:00Z`);
  expect(parseEvents(await followed.text())).toMatchObject([{ event: "line", data: { text: "hello" } }]);
  for (const wrong of ["since=yesterday", "request=two%20words", "request="])
    expect((await door.ask("GET", `${path}?${wrong}`)).status).toBe(400);
  const key = await tenantKey(door);
  expect((await door.ask("GET", path, { key })).status).toBe(200);
  door.memory.sharedPool = true;
  expect((await door.ask("GET", path, { key })).status).toBe(403);
  expect((await door.ask("GET", path)).status).toBe(200);
});

test("the history of containers reports how each ended, with the lines of a shared one for the operator only", async () => {
  const door = await openTestDoor();
  const [installation] = door.memory.installations;
  if (installation === undefined) throw new Error("the harness has one");
  const path = `${installations}/${installation.id}/runtimes`;
  const key = await tenantKey(door);
  const linesOf = async (options: { key?: string }) => {
    const { items } = (await (await door.ask("GET", path, options)).json()) as {
      items: readonly { end: { cause: string; logs: readonly string[] } | null }[];
    };
    return items.map(({ end }) => end && { cause: end.cause, logs: end.logs });
  };
  const shared = { cause: "crashed", logs: ["a line"] };
  const own = { cause: "unhealthy", logs: ["a line"] };
  expect(await linesOf({})).toEqual([null, shared, own]);
  expect(await linesOf({ key })).toEqual([null, { ...shared, logs: [] }, own]);
  expect((await door.ask("GET", `${path}?limit=0`)).status).toBe(400);
  expect((await door.ask("GET", `${path}?limit=501`)).status).toBe(400);
});

test("an unknown path is answered with 404, and a wrong method with 405 and the allowed methods", async () => {
  const door = await openTestDoor();
  expect((await door.ask("GET", "/v2/packages")).status).toBe(404);
  const answer = await door.ask("DELETE", "/v1/packages");
  expect([answer.status, answer.headers.get("allow")]).toEqual([405, "POST, GET"]);
});

test("health needs no key, and readiness names each part and answers 503 if one is unavailable", async () => {
  const door = await openTestDoor();
  expect((await door.ask("GET", "/health", { key: "" })).status).toBe(200);
  expect(await (await door.ask("GET", "/health/ready", { key: "" })).json()).toEqual({
    status: "ready",
    parts: { database: { ok: true } },
    processes: { apis: 1, workers: 1 },
  });
  door.memory.store.ping = () => Promise.reject(new Error("away"));
  expect((await door.ask("GET", "/health/ready", { key: "" })).status).toBe(503);
});

test("the OpenAPI document is version 3.1 and lists every route, operation and fault code", async () => {
  const door = await openTestDoor();
  const document = (await (await door.ask("GET", "/openapi.json", { key: "" })).json()) as {
    openapi: string;
    paths: Record<string, Record<string, unknown>>;
    components: { schemas: Record<string, { properties?: Record<string, unknown> }> };
  };
  expect(document.openapi).toBe("3.1.0");
  const plugin = "/v1/tenants/{tenant}/plugins/{author}/{name}";
  const paths = Object.keys(document.paths);
  for (const { type, action } of OPERATIONS) expect(paths).toContain(`${plugin}/invoke/${type}/${action}`);
  expect(paths.filter((path) => !path.includes("/invoke/")).sort()).toEqual(
    [
      "/health",
      "/health/ready",
      "/v1/bundles",
      "/v1/bundles/{identifier}",
      "/v1/disk",
      "/v1/disk/gc",
      "/v1/disk/gc/{id}",
      "/v1/doctor",
      "/v1/events",
      "/v1/exports/{identifier}",
      "/v1/imports",
      "/v1/keys",
      "/v1/keys/{id}",
      "/v1/packages",
      "/v1/packages/{identifier}",
      "/v1/packages/{identifier}/assets/{name}",
      "/v1/packages/{identifier}/privacy",
      "/v1/packages/{identifier}/readme",
      "/v1/takeover",
      "/v1/tenants",
      "/v1/tenants/{tenant}",
      "/v1/tenants/{tenant}/credentials",
      "/v1/tenants/{tenant}/credentials/{id}",
      "/v1/tenants/{tenant}/debugging-key",
      "/v1/tenants/{tenant}/endpoints",
      "/v1/tenants/{tenant}/endpoints/{id}",
      "/v1/tenants/{tenant}/endpoints/{id}/disable",
      "/v1/tenants/{tenant}/endpoints/{id}/enable",
      "/v1/tenants/{tenant}/events",
      "/v1/tenants/{tenant}/installations",
      "/v1/tenants/{tenant}/installations/{id}",
      "/v1/tenants/{tenant}/installations/{id}/disable",
      "/v1/tenants/{tenant}/installations/{id}/egress",
      "/v1/tenants/{tenant}/installations/{id}/enable",
      "/v1/tenants/{tenant}/installations/{id}/logs",
      "/v1/tenants/{tenant}/installations/{id}/permissions",
      "/v1/tenants/{tenant}/installations/{id}/restart",
      "/v1/tenants/{tenant}/installations/{id}/rollback",
      "/v1/tenants/{tenant}/installations/{id}/runtimes",
      "/v1/tenants/{tenant}/installations/{id}/upgrade",
      "/v1/tenants/{tenant}/installations/{id}/variables",
      "/v1/tenants/{tenant}/providers",
      "/v1/tenants/{tenant}/quotas",
      "/v1/tenants/{tenant}/settings",
      "/v1/tenants/{tenant}/tasks",
      "/v1/tenants/{tenant}/tasks/{id}",
      "/v1/tenants/{tenant}/tasks/{id}/cancel",
      "/v1/tenants/{tenant}/tasks/{id}/events",
      "/v1/tenants/{tenant}/tools",
      "/v1/tenants/{tenant}/trust",
      "/v1/trust",
      "/v1/trust/admissions",
      "/v1/trust/admissions/{checksum}",
      "/v1/trust/keys",
      "/v1/trust/keys/{id}",
      `${plugin}/invoke_llm`,
      `${plugin}/invoke_tool`,
    ].sort(),
  );
  const text = JSON.stringify(document);
  for (const code of Object.keys(FAULTS)) expect(text).toContain(`"${code}"`);
  for (const [, ref] of text.matchAll(/"#\/components\/schemas\/(\w+)"/g)) {
    expect(Object.keys(document.components.schemas)).toContain(ref);
  }
});

test("each control request is logged as one wide event without its key", async () => {
  const door = await openTestDoor();
  await door.ask("GET", installations);
  const events = door.logged.filter(({ op }) => op === "http.request");
  expect(events).toMatchObject([{ ok: true, route: "/v1/tenants/{tenant}/installations", status: 200 }]);
  expect(JSON.stringify(door.logged)).not.toContain(ADMIN_KEY);
});

test("the API page lists every fault with its status", async () => {
  const page = await readFile(new URL("../../docs/api.md", import.meta.url), "utf8");
  const listed = [...page.matchAll(/^\| `(\w+)` \| (\d{3}) \| (yes|no) \|/gm)].map(([, ...row]) => row);
  const rules = Object.entries(FAULTS).map(([code, { status, retry }]) => [
    code,
    String(status),
    retry ? "yes" : "no",
  ]);
  expect(listed).toEqual(rules);
});
