/** Requests to hooks: what reaches the plugin, how a request that reaches none is answered, and what is logged. */
import { describe, expect, test } from "vitest";
import { createHealthApp } from "../../src/http/health-app.ts";
import { silentLog } from "../../src/observe/log.ts";
import { createMetrics, type Metrics } from "../../src/observe/metrics/metrics.ts";
import { anInstallation } from "../harness/builders/an-installation.ts";
import { until } from "../harness/clients/until.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import {
  callHook,
  ENDPOINT,
  errorOf,
  HOOK,
  type HookDoor,
  openHookDoor,
  sayHello,
} from "../harness/rigs/hook.ts";

const BAD = { code: -400, type: "PluginDaemonBadRequestError", data: null, args: null };

const INTERNAL = { code: -500, type: "PluginDaemonInternalServerError", data: null, args: null };

const events = (door: HookDoor, op: string) => door.logged.filter((line) => line["op"] === op);

const served = (door: HookDoor) => events(door, "hook.serve");

describe("a request that reaches no plugin gets the daemon's answer", () => {
  test("an unknown hook is answered with 404", async () => {
    const { port } = await openHookDoor();
    const answer = await callHook({ port, path: "/e/nobodys123456789/x" });
    expect(errorOf(answer)).toEqual({ status: 404, ...BAD, message: "endpoint not found" });
  });

  test("the hook of a plugin that is no longer installed is answered with 404", async () => {
    const { port } = await openHookDoor({}, { pluginId: "berth/gone" });
    const answer = await callHook({ port });
    expect(errorOf(answer)).toEqual({ status: 404, ...BAD, message: "plugin installation not found" });
  });

  test.each([{ state: "failed" as const }, { desired: "disabled" as const }])(
    "a plugin that does not run is reported as unavailable before the endpoint is checked: %j",
    async (changes) => {
      const door = await openHookDoor({}, { enabled: false });
      door.memory.installations[0] = anInstallation(changes);
      await door.invoker.refresh();
      const { message, ...found } = errorOf(await callHook(door));
      expect(found).toEqual({ status: 404, ...INTERNAL });
      expect(message).toMatch(
        /^no available node, plugin runtime not found: berth.echo is (?:failed|disabled)[.]$/,
      );
    },
  );

  test("a disabled endpoint is answered with 404", async () => {
    const { port } = await openHookDoor({}, { enabled: false });
    const found = errorOf(await callHook({ port }));
    const type = "PluginDaemonNotFoundError";
    expect(found).toEqual({
      status: 404,
      code: -404,
      type,
      message: "endpoint not found",
      args: null,
      data: null,
    });
  });

  test("a plugin that has no endpoints any more is reported as not found", async () => {
    const { port } = await openHookDoor({ declaration: {} });
    const found = errorOf(await callHook({ port }));
    expect(found).toMatchObject({ status: 404, type: "PluginNotFoundError", message: "plugin not found" });
  });

  test("an invalid escape in the path is answered with 400", async () => {
    const { port } = await openHookDoor();
    expect(errorOf(await callHook({ port, path: `/e/${HOOK}/%zz` }))).toMatchObject({
      status: 400,
      code: -400,
    });
  });

  test.each([
    ["PATCH", `/e/${HOOK}/x`],
    ["TRACE", `/e/${HOOK}/x`],
    ["GET", "/e/"],
    ["GET", "/e"],
  ])("%s %s has no route", async (method, path) => {
    const { port } = await openHookDoor();
    const answer = await callHook({ port, method, path });
    const isOurs = path.startsWith("/e/");
    expect(answer.status).toBe(404);
    if (isOurs) expect(answer.body).toBe('{"code":"not_found","message":"route not found"}');
  });

  test.each([
    ["GET", 301],
    ["HEAD", 307],
    ["POST", 307],
  ])("%s to the bare hook id is redirected to the path with a slash", async (method, status) => {
    const { port } = await openHookDoor();
    const answer = await callHook({ port, method, path: `/e/${HOOK}?a=1` });
    expect(answer).toMatchObject({ status, body: "", headers: { location: `/e/${HOOK}/?a=1` } });
  });

  test("disabled hooks have no route, and the other routes are served", async () => {
    const { port } = await openHookDoor({ settings: { hookBodyBytesMax: undefined } });
    expect(await callHook({ port })).toMatchObject({
      status: 404,
      body: expect.stringContaining("route not found"),
    });
    expect(await callHook({ port, path: "/health/check" })).toMatchObject({ status: 200 });
  });

  test("hooks are served even if the routes for platforms are disabled", async () => {
    const { port } = await openHookDoor({ settings: { dify: { key: undefined, adminKey: undefined } } });
    expect(await callHook({ port })).toMatchObject({ status: 200, body: "hello" });
    expect(await callHook({ port, method: "PATCH" })).toMatchObject({ status: 404 });
  });
});

test.each(["GET", "POST", "PUT", "DELETE", "OPTIONS"])(
  "%s reaches the plugin as raw HTTP, with the settings",
  async (method) => {
    let seen: FakeSession | undefined;
    const door = await openHookDoor({
      script(session) {
        seen = session;
        sayHello(session);
      },
    });
    const body = method === "POST" || method === "PUT" ? "a=1" : undefined;
    const headers = { host: "hooks.example", "x-b": "2", "x-real-ip": "1.2.3.4", "x-request-id": "asked-1" };
    const answer = await callHook({
      ...door,
      method,
      path: `/e/${HOOK}/a%20b?z=1&y`,
      headers,
      ...(body && { body }),
    });
    expect(answer).toMatchObject({ status: 200, body: "hello", headers: { "content-type": "text/plain" } });
    expect(seen?.line).toMatchObject({ endpoint_id: ENDPOINT, event: "request", conversation_id: null });
    const { raw_http_request, ...rest } = seen?.data ?? {};
    expect(rest).toEqual({
      user_id: "",
      type: "endpoint",
      action: "invoke_endpoint",
      settings: { greeting: "hi" },
    });
    const raw = Buffer.from(String(raw_http_request), "hex").toString();
    expect(String(raw_http_request)).toMatch(/^[0-9a-f]+$/);
    expect(raw).toContain(`${method} /a%20b?y=&z=1 HTTP/1.1\r\nHost: hooks.example\r\n`);
    expect(raw).toContain(`Dify-Hook-Url: http://hooks.example/e/${HOOK}/a b\r\n`);
    expect(raw).not.toContain("1.2.3.4");
    expect(raw.endsWith(`\r\n\r\n${body ?? ""}`)).toBe(true);
  },
);

test("each request is logged as one wide event without the hook id, the path and its content", async () => {
  const door = await openHookDoor();
  await callHook({ ...door, method: "POST", path: `/e/${HOOK}/secret-path?token=secret`, body: "secret" });
  await callHook({ ...door, path: "/e/nobodys-secret/x" });
  await until(() => served(door).length === 2);
  expect(served(door)[0]).toMatchObject({
    ok: true,
    method: "POST",
    status: 200,
    bytes_in: 6,
    bytes_out: 5,
    endpoint_id: ENDPOINT,
    plugin: expect.stringContaining("berth/echo:"),
  });
  expect(served(door)[1]).toMatchObject({ ok: false, code: "endpoint_not_found", status: 404 });
  expect(JSON.stringify(door.logged)).not.toMatch(new RegExp(`secret|${HOOK}`));
});

describe("health and metrics", () => {
  test("/health/check always answers 200 and reports how busy the process is", async () => {
    let session: FakeSession | undefined;
    const script = (it: FakeSession) => {
      session = it;
    };
    const door = await openHookDoor({ script });
    const running = callHook(door);
    await until(() => session !== undefined);
    const { status, body } = await callHook({ ...door, path: "/health/check" });
    expect(status).toBe(200);
    expect(JSON.parse(body)).toEqual({
      status: "ok",
      version: "0.1.0",
      build_time: "",
      platform: "local",
      pool_status: { free: 9998, busy: 2, total: 10_000 },
      active_requests: 2,
      active_dispatch_requests: 1,
    });
    if (session !== undefined) sayHello(session);
    await running;
  });

  test.each(["/metrics", "/metrics/"])(
    "%s reports calls and hooks, and names no plugin or tenant",
    async (path) => {
      const door = await openHookDoor();
      await callHook(door);
      await until(() => served(door).length === 1);
      const { status, headers, body } = await callHook({ ...door, path });
      expect([status, headers["content-type"]]).toEqual([
        200,
        expect.stringMatching(/^text\/plain; version=0.0.4/),
      ]);
      expect(body).toContain('berth_hooks_total{status="200",code="ok"} 1');
      expect(body).toContain('berth_calls_total{type="endpoint",action="invoke_endpoint",code="ok"} 1');
      expect(body).toContain("berth_http_requests_open 1");
      expect(body).not.toMatch(/berth\/echo|6f1a1c1e/);
    },
  );

  test("a process without an API serves its metrics too, unless they are off", async () => {
    const settings = { jsonBytesMax: 1024, healthTimeoutMs: 100, answerTimeoutMs: 1000 };
    const processes = { apis: 1, workers: 1 };
    const ask = async (metrics: Metrics | undefined, path: string) => {
      using app = createHealthApp({ parts: {}, processes, metrics, log: silentLog, settings });
      return (await app.fetch(new Request(`http://worker${path}`))).status;
    };
    const metrics = createMetrics({ ofProcess: false });
    expect([await ask(metrics, "/metrics"), await ask(metrics, "/metrics/")]).toEqual([200, 200]);
    expect(await ask(undefined, "/metrics")).toBe(404);
  });
});
