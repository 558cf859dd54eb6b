import { expect, test } from "vitest";
import { silentLog } from "../log.ts";
import { createMetrics } from "./metrics.ts";

test("every wide event counts once, by labels that the code fixes, and its duration is in seconds", async () => {
  const metrics = createMetrics({ ofProcess: false });
  const log = metrics.tap(silentLog).child({ part: "one" });
  const call = { op: "invocation.invoke", type: "tool", action: "invoke_tool", tenant_id: "t", plugin: "p" };
  log.info({ ...call, ok: true, duration_ms: 20 });
  log.info({ ...call, ok: false, code: "plugin_error", duration_ms: 20 });
  log.warn({
    op: "http.request",
    method: "get",
    route: "/v1/keys/{id}",
    status: 404,
    duration_ms: 1,
    path: "/v1/keys/1",
  });
  log.info({ op: "hook.serve", status: 200, bytes_in: 3, bytes_out: 4, duration_ms: 1 });
  log.info({
    op: "runtime.notice",
    runtime: "r",
    kind: "hello_refused",
    count: 32,
    why: "no proof of the key",
  });
  log.info({ op: "something.else", duration_ms: 1 });
  const text = await metrics.text();
  expect(text).toContain('berth_calls_total{type="tool",action="invoke_tool",code="ok"} 1');
  expect(text).toContain('berth_calls_total{type="tool",action="invoke_tool",code="plugin_error"} 1');
  expect(text).toContain('berth_calls_duration_seconds_sum{type="tool",action="invoke_tool"} 0.04');
  expect(text).toContain('berth_http_requests_total{method="GET",route="/v1/keys/{id}",status="404"} 1');
  expect(text).toContain('berth_hooks_total{status="200",code="ok"} 1');
  expect(text).toContain("berth_hooks_bytes_out_total 4");
  expect(text).toContain('berth_runtime_notices_total{kind="hello_refused"} 1');
  expect(text).toContain("berth_runtime_notices_count_total 32");
  expect(text).not.toMatch(/tenant|plugin=|\/v1\/keys\/1/);
});

test("a gauge is read when metrics are requested", async () => {
  const metrics = createMetrics({ ofProcess: false });
  let open = 1;
  metrics.gauge("berth_open", "Open", () => open);
  open = 7;
  expect(await metrics.text()).toContain("berth_open 7");
});

test("a gauge of plugins has only the current plugins", async () => {
  const metrics = createMetrics({ ofProcess: false });
  let serving = new Map([
    ["ann/mail", 2],
    ["ann/gone", 1],
  ]);
  metrics.gaugeOfPlugins("berth_serving", "Serving", () => serving);
  expect(await metrics.text()).toContain('berth_serving{plugin="ann/gone"} 1');
  serving = new Map([["ann/mail", 0]]);
  const text = await metrics.text();
  expect(text).toContain('berth_serving{plugin="ann/mail"} 0');
  expect(text).not.toContain("ann/gone");
});
