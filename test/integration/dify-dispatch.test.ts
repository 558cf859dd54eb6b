import { describe, expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import { IDENTIFIER } from "../harness/builders/a-stored-package.ts";
import { anInstallation } from "../harness/builders/an-installation.ts";
import { ask, dispatch, eventsOf, refusalOf, toldBy } from "../harness/clients/dify.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import type { Door } from "../harness/rigs/door.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { DIFY_ADMIN_KEY, DIFY_KEY, OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

const TOOL = { user_id: "u", data: { provider: "echo", tool: "say", tool_parameters: { n: 1 } } };

/** Keeps the one session for the test. */
function held() {
  const { promise, resolve } = Promise.withResolvers<FakeSession>();
  return { session: promise, script: resolve };
}

describe("checks in the daemon's order", () => {
  test("must be identical 1: an error is a JSON text inside the envelope, with its keys in order", async () => {
    const door = await openTestDoor();
    const answer = await dispatch(door, "tool/invoke", TOOL, { headers: { "x-api-key": "wrong" } });
    expect(answer.status).toBe(401);
    expect(answer.headers.get("content-type")).toBe("application/json; charset=utf-8");
    expect(await answer.text()).toBe(
      '{"code":-401,"message":"{\\"message\\":\\"unauthorized\\",\\"error_type\\":\\"PluginDaemonUnauthorizedError\\",\\"args\\":null}","data":null}',
    );
  });

  test("a missing key is refused before anything else", async () => {
    const door = await openTestDoor();
    const headers = { "x-api-key": undefined, "x-plugin-id": undefined };
    const answer = await dispatch(door, "tool/invoke", "{", { tenant: "x", headers });
    expect(await refusalOf(answer)).toMatchObject({ status: 401, message: "unauthorized" });
  });

  test("a missing plugin name is refused before the tenant is checked", async () => {
    const door = await openTestDoor();
    const answer = await dispatch(
      door,
      "tool/invoke",
      {},
      { tenant: "x", headers: { "x-plugin-id": undefined } },
    );
    expect(await refusalOf(answer)).toEqual({
      status: 400,
      code: -400,
      type: "PluginDaemonBadRequestError",
      message: "plugin_id is required",
    });
  });

  test("a tenant that is not a UUID is answered with status 500", async () => {
    const answer = await dispatch(await openTestDoor(), "tool/invoke", {}, { tenant: "x" });
    expect(await refusalOf(answer)).toMatchObject({
      status: 500,
      code: -500,
      type: "PluginDaemonInternalServerError",
      message: 'invalid input syntax for type uuid: "x"',
    });
  });

  test.each([
    ["one that no tenant has", TENANT, "berth/nothing"],
    ["another tenant's", OTHER_TENANT, "berth/echo"],
    ["one with an invalid name", TENANT, "a plugin"],
  ])(
    "must be identical 2: a plugin that the tenant does not have is answered with 404: %s",
    async (_, tenant, plugin) => {
      const answer = await dispatch(await openTestDoor(), "tool/invoke", {}, { tenant, plugin });
      expect(await refusalOf(answer)).toEqual({
        status: 404,
        code: -404,
        type: "PluginNotFoundError",
        message: "plugin not found",
      });
    },
  );

  test("must be identical 2: a plugin that does not run yet is reported as a temporary state, with 404 and -500", async () => {
    const door = await openTestDoor();
    door.memory.installations[0] = anInstallation({ state: "installing" });
    await door.invoker.refresh();
    const told = await refusalOf(await dispatch(door, "tool/invoke", {}));
    expect(told).toMatchObject({ status: 404, code: -500, type: "PluginDaemonInternalServerError" });
    expect(told.message).toMatch(/^no available node, plugin runtime not found: berth\/echo is installing/);
  });

  test("a plugin without a runtime within the start timeout is reported as the same temporary state", async () => {
    const door = await openTestDoor({ settings: { startTimeoutMs: 20 } });
    door.runtime.isReady = false;
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 404, code: -500 });
    expect(told.message).toMatch(
      /^no available node, plugin runtime not found: No runtime of the plugin was ready/,
    );
  });

  test.each([
    ["disabled", { desired: "disabled" }, "berth/echo is disabled."],
    ["failed", { state: "failed" }, "berth/echo is failed."],
  ] as const)("a plugin that is %s is not reported as a temporary state", async (_, changes, reason) => {
    const door = await openTestDoor();
    door.memory.installations[0] = anInstallation(changes);
    await door.invoker.refresh();
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toEqual({
      status: 404,
      code: -500,
      type: "PluginDaemonInternalServerError",
      message: `the plugin is not running and will not start by itself: ${reason}`,
    });
  });

  test("a plugin in a crash loop is not reported as a temporary state", async () => {
    const door = await openTestDoor();
    door.runtime.isReady = false;
    const details = { state: "crash_loop" };
    door.runtime.refusal = new Fault("plugin_not_ready", "It crashed 5 times.", { details });
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 404, code: -500 });
    expect(told.message).toBe("the plugin is not running and will not start by itself: It crashed 5 times.");
  });

  test("a plugin that is being removed is not found", async () => {
    const door = await openTestDoor();
    door.memory.installations[0] = anInstallation({ desired: "removed" });
    await door.invoker.refresh();
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 404, type: "PluginNotFoundError", message: "plugin not found" });
  });

  test("a busy or stopping plugin is reported as a temporary state", async () => {
    const limits = { concurrencyMax: 1 };
    const { session, script } = held();
    const door = await openTestDoor({ limits, settings: { queueMax: 0 }, script });
    const first = dispatch(door, "tool/invoke", TOOL);
    await session;
    const told = await refusalOf(await dispatch(door, "tool/invoke", TOOL));
    expect(told).toMatchObject({ status: 429, code: -500, type: "PluginDaemonInternalServerError" });
    expect(told.message).toMatch(/^no available node: /);
    door.invoker.endAll();
    const [cut] = eventsOf(await (await first).text());
    expect(cut && toldBy(cut).message).toMatch(/^no available node: Berth stopped before the call was done/);
  });

  test("the body is validated last, and every invalid field is named", async () => {
    const door = await openTestDoor();
    const missing = await dispatch(door, "tool/invoke", { data: {} }, { plugin: "berth/nothing" });
    expect(missing.status).toBe(404);
    const told = await refusalOf(await dispatch(door, "tool/invoke", { data: {} }));
    expect(told).toEqual({
      status: 400,
      code: -400,
      type: "PluginDaemonBadRequestError",
      message: [
        "Key: 'Data.Provider' Error:Field validation for 'Provider' failed on the 'required' tag",
        "Key: 'Data.Tool' Error:Field validation for 'Tool' failed on the 'required' tag",
      ].join("\n"),
    });
  });

  test("a body over the bound is answered with 413", async () => {
    const told = await refusalOf(
      await dispatch(await openTestDoor(), "tool/invoke", "x".repeat(1024 * 1024 + 1)),
    );
    expect(told).toMatchObject({ status: 413, type: "PluginDaemonBadRequestError" });
  });
});

describe("calls that name a version", () => {
  const V2 = "/v2/invoke/dispatch/tool/invoke";
  const call = (door: Door, body: unknown, identifier?: string) =>
    ask(door, V2, body, { headers: { "x-plugin-unique-identifier": identifier } });

  test("are answered if the tenant of the body runs that version", async () => {
    const door = await openTestDoor();
    const answer = await call(door, { ...TOOL, tenant_id: TENANT }, IDENTIFIER);
    expect([answer.status, eventsOf(await answer.text()).length]).toEqual([200, 1]);
  });

  test.each([
    [undefined, "PluginDaemonBadRequestError", "X-Plugin-Unique-Identifier header is required"],
    ["berth/echo", "PluginUniqueIdentifierError", "plugin_unique_identifier is not valid: berth/echo"],
  ])("are refused without a valid identifier: %s", async (identifier, type, message) => {
    const told = await refusalOf(await call(await openTestDoor(), {}, identifier));
    expect(told).toEqual({ status: 400, code: -400, type, message });
  });

  test.each([
    ["another tenant", OTHER_TENANT, IDENTIFIER],
    ["another version", TENANT, IDENTIFIER.replace("0.0.1", "0.0.2")],
    ["another plugin", TENANT, IDENTIFIER.replace("echo", "other")],
  ])("find no running plugin for %s", async (_, tenant, identifier) => {
    const told = await refusalOf(
      await call(await openTestDoor(), { ...TOOL, tenant_id: tenant }, identifier),
    );
    expect(told).toMatchObject({ status: 404, code: -500, type: "PluginDaemonInternalServerError" });
    expect(told.message).toMatch(/^no available node, plugin runtime not found/);
  });

  test.each([
    [undefined, "required"],
    ["x", "uuid"],
  ])("are refused without a valid tenant in the body: %s", async (tenant, tag) => {
    const told = await refusalOf(
      await call(await openTestDoor(), { ...TOOL, tenant_id: tenant }, IDENTIFIER),
    );
    expect(told).toMatchObject({
      status: 400,
      message: `Key: 'TenantId' Error:Field validation for 'TenantId' failed on the '${tag}' tag`,
    });
  });

  test("have no polling route", async () => {
    const answer = await ask(await openTestDoor(), "/v2/invoke/dispatch/model/polling/start", {});
    expect([answer.status, await answer.text()]).toEqual([
      404,
      '{"code":"not_found","message":"route not found"}',
    ]);
  });
});

describe("paths", () => {
  test.each([
    ["GET", "/plugin/x/dispatch/tool/invoke"],
    ["POST", "/plugin/x/dispatch/endpoint/invoke"],
    ["POST", "/plugin/x"],
    ["POST", "/v2/none"],
  ])("%s %s is answered with 404 in the daemon's words", async (method, path) => {
    const answer = await ask(await openTestDoor(), path, undefined, { method });
    expect([answer.status, await answer.text()]).toEqual([
      404,
      '{"code":"not_found","message":"route not found"}',
    ]);
  });

  test.each([
    [
      "POST",
      `/plugin/${TENANT}/dispatch/tool/invoke/?a=b`,
      307,
      `/plugin/${TENANT}/dispatch/tool/invoke?a=b`,
    ],
    ["GET", "/v2/invoke/extract/", 301, "/v2/invoke/extract"],
  ])("%s %s is redirected to the path without the slash: %d", async (method, path, status, location) => {
    const answer = await ask(await openTestDoor(), path, undefined, { method });
    expect([answer.status, answer.headers.get("location")]).toEqual([status, location]);
  });
});

test("a debugging key is answered as the daemon does, and there is no such route without a debug port", async () => {
  const path = `/plugin/${TENANT}/debugging/key`;
  const answer = await ask(await openTestDoor(), path, undefined, { method: "POST" });
  expect(await answer.json()).toEqual({
    code: 0,
    message: "success",
    data: { key: "3f1d2c4b-5a69-4788-9a0b-1c2d3e4f5061" },
  });
  const closed = await ask(await openTestDoor({ parts: { debug: undefined } }), path, undefined, {});
  expect(closed.status).toBe(404);
  expect(await closed.json()).toEqual({ code: "not_found", message: "route not found" });
});

describe("features that Berth does not have", () => {
  const admin = { headers: { "x-admin-api-key": DIFY_ADMIN_KEY } };
  const identifier = { plugin_unique_identifier: IDENTIFIER };

  test.each([
    ["POST", "/backwards-invocation/transaction", 404, "no plugin runs on a serverless platform here"],
    ["GET", "/debug/pprof/heap", 404, "there are no Go profiles here"],
  ])("%s %s is refused with an explanation", async (method, path, status, message) => {
    const told = await refusalOf(await ask(await openTestDoor(), path, undefined, { method }));
    expect(told).toMatchObject({ status, type: "PluginDaemonBadRequestError" });
    expect(told.message).toContain(message);
  });

  test("a reinstall of a serverless plugin is answered with an error event", async () => {
    const door = await openTestDoor();
    const answer = await ask(door, "/admin/plugin/serverless/reinstall", identifier, admin);
    expect([answer.headers.get("content-type"), await answer.text()]).toEqual([
      "text/event-stream",
      'data: {"code":0,"message":"success","data":{"event":"error","data":"reinstall is not supported on local platform"}}\n\n',
    ]);
    const wrong = { plugin_unique_identifier: "x" };
    expect((await ask(door, "/admin/plugin/serverless/reinstall", wrong, admin)).status).toBe(400);
  });

  test("a switch of a serverless plugin's endpoint is refused", async () => {
    const body = { ...identifier, function_name: "f", function_url: "u" };
    const answer = await ask(await openTestDoor(), "/admin/plugin/serverless/switch-endpoint", body, admin);
    expect(await refusalOf(answer)).toMatchObject({
      status: 200,
      code: -500,
      message: "switch serverless runtime is not supported on local platform",
    });
  });

  test("the operator's routes require the operator's key and do not exist if none is configured", async () => {
    const path = "/admin/plugin/serverless/reinstall";
    expect((await ask(await openTestDoor(), path, identifier)).status).toBe(401);
    const keyless = await openTestDoor({ settings: { dify: { key: DIFY_KEY, adminKey: undefined } } });
    expect((await ask(keyless, path, identifier, admin)).status).toBe(404);
  });
});
