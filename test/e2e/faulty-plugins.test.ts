/** Plugins that die, flood, crash or never come up: told apart to the caller, and harmless to everybody else. */
import { request } from "node:http";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  askTool,
  callTool,
  type ErrorJson,
  errorOf,
  eventually,
  failInstall,
  getInstallation,
  historyOf,
  install,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { buildVariant } from "../harness/rigs/variant.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

const scope = new Scope();
let site: Site;
let berth: BerthProcess;
let echo: AcceptedInstall;
beforeAll(async () => {
  const variant = scope.use(
    await buildVariant({
      // Any library serves that can be loaded.
      setup: "cp /lib/*/libz.so.1 /usr/lib/libGL.so.1\ninstall -m 755 program /usr/local/bin/acme-program\n",
      program: "#!/bin/sh\necho here I am\n",
    }),
  );
  site = scope.use(
    await openSite({
      env: {
        BERTH_PLUGIN_IMAGES: `acme/needs-system=${variant.name},other/needs-system=not-built`,
        BERTH_START_SECONDS_MAX: "10",
        BERTH_START_BUSY_SECONDS_MAX: "10",
        BERTH_PLUGIN_FRAME_MB_MAX: "4",
      },
    }),
  );
  berth = await site.start();
  echo = await install(berth, await packPlugin("echo"));
});
afterAll(() => scope.close());

const askEcho = (parameters: Readonly<Record<string, unknown>> = { text: "aye" }) =>
  toolTexts(berth, { tenant: echo.tenant, pluginId: "berth-tests/echo", tool: "echo", parameters });

describe("a plugin that dies during a call", () => {
  const diesOf = (tenant: string, parameters: Readonly<Record<string, unknown>>) => ({
    tenant,
    pluginId: "berth-tests/dies-mid-stream",
    tool: "die",
    parameters,
  });
  const survives = (tenant: string) => toolTexts(berth, diesOf(tenant, { allocate_mb: 1 }));
  const installIt = async () => await install(berth, await packPlugin("dies-mid-stream"));

  test.each([
    ["by an exit", { exit_code: 7 }, { exitCode: 7, oom: false }],
    ["by a signal", { signal: 11 }, { signal: "SIGSEGV", oom: false }],
    // What a real package asks for is advice below the floor: it dies of the floor's 256 MB.
    ["for lack of memory", { allocate_mb: 2000 }, { oom: true }],
  ])("%s reports the cause, and the next call is answered at once", async (_name, parameters, details) => {
    const { tenant } = await installIt();
    const events = await callTool(berth, diesOf(tenant, parameters));
    expect(events[0]).toMatchObject({ name: "item", data: { message: { text: "part" } } });
    expect(errorOf(events)).toMatchObject({ code: "plugin_crashed", details });
    const endedAt = performance.now();
    expect(await survives(tenant)).toEqual(["part", "all of it was granted"]);
    expect(performance.now() - endedAt).toBeLessThan(SOON_MS);
  });

  test("fails the call at once", async () => {
    const { tenant } = await installIt();
    await survives(tenant);
    const began = performance.now();
    const events = await callTool(berth, diesOf(tenant, {}));
    expect(performance.now() - began).toBeLessThan(SOON_MS);
    expect(errorOf(events).code).toBe("plugin_crashed");
  });

  test("again and again is not started any more, and is reported as crash_loop", async () => {
    const installed = await installIt();
    const call = diesOf(installed.tenant, {});
    const answer = await eventually(async () => {
      const { error } = (await (await askTool(berth, call)).json()) as { error: ErrorJson };
      return error.code === "plugin_not_ready" && error.details?.["state"] === "crash_loop"
        ? error
        : undefined;
    });
    expect(answer.details).toMatchObject({ cause: { code: "plugin_crashed", details: { exitCode: 3 } } });
    // The refusal comes from the pool's row; the installation's follows.
    await expect
      .poll(() => getInstallation(berth, installed))
      .toMatchObject({ state: "crash_loop", cause: { code: "plugin_crashed" } });
    expect(await containersOf(installed.tenant)).toEqual([]);
    const items = await historyOf(berth, installed);
    expect(items[0]).toMatchObject({
      state: "ended",
      end: { cause: "crashed", exit_code: 3, oom: false, action: { kind: "give_up", delay_ms: null } },
    });
    expect(items.map(({ end }) => end?.action?.kind)).toContain("start_later");
  });
});

test("a message over the frame limit fails only its own call, and at once", async () => {
  const sibling = askEcho({ text: "still here", messages: 5, delay_ms: 300 });
  const began = performance.now();
  const events = await callTool(berth, {
    tenant: echo.tenant,
    pluginId: "berth-tests/echo",
    tool: "echo",
    parameters: { bytes: 5 << 20 },
  });
  const took = performance.now() - began;
  expect(errorOf(events).code).toBe("frame_too_large");
  expect(took).toBeLessThan(SOON_MS);
  expect(await sibling).toEqual(Array(5).fill("still here"));
  expect(await askEcho()).toEqual(["aye"]);
});

test("a client that stops reading delays no other call to the same plugin", async () => {
  const [before] = ids(await containersOf(echo.tenant));
  const body = JSON.stringify({
    user_id: "u",
    provider: "echo",
    tool_name: "echo",
    tool_parameters: { bytes: 1 << 20, messages: 60 },
  });
  const url = new URL(`/v1/tenants/${echo.tenant}/plugins/berth-tests/echo/invoke_tool`, berth.url);
  const headers = { authorization: `Bearer ${berth.adminKey}`, "content-type": "application/json" };
  const stalled = request(url, { method: "POST", headers });
  stalled.on("error", () => undefined);
  // The answer is never read: its bytes fill the socket's buffers, then Berth's.
  const answered = new Promise((resolve) => stalled.once("response", resolve));
  stalled.end(body);
  await answered;
  const answers = await Promise.all(Array.from({ length: 20 }, () => askEcho()));
  expect(answers).toEqual(Array(20).fill(["aye"]));
  await eventually(async () => berth.log.find(({ code }) => code === "slow_caller"));
  stalled.destroy();
  expect(ids(await containersOf(echo.tenant))).toEqual([before]);
});

test.each([{ stderr: false }, { stderr: true }])(
  "a flood of output (stderr: $stderr) delays neither its own call nor the calls of another plugin",
  async ({ stderr }) => {
    const { tenant } = await install(berth, await packPlugin("floods-stdout"));
    const call = {
      tenant,
      pluginId: "berth-tests/floods-stdout",
      tool: "flood",
      parameters: { megabytes: 32, stderr },
    };
    const [flooded, others] = await Promise.all([
      toolTexts(berth, call),
      Promise.all(Array.from({ length: 10 }, () => askEcho())),
    ]);
    expect(flooded).toEqual(["done"]);
    expect(others).toEqual(Array(10).fill(["aye"]));
  },
);

test("a plugin that crashes at its import fails its task with the traceback, and leaves no container", async () => {
  const plugin = await packPlugin("crash-at-import");
  const failed = await failInstall(berth, plugin);
  expect(failed.cause).toMatchObject({ code: "start_crashed", details: { exitCode: 1, oom: false } });
  expect(JSON.stringify(failed.cause.details?.["logs"])).toContain("a_module_that_nobody_ships");
  expect(JSON.stringify(failed.cause.details?.["logs"])).toContain("ModuleNotFoundError");
  expect(await getInstallation(berth, failed)).toMatchObject({
    state: "failed",
    cause: { code: "start_crashed" },
  });
  expect(await containersOf(failed.tenant)).toEqual([]);
  const call = { tenant: failed.tenant, pluginId: plugin.pluginId, tool: "never" };
  const refused = await askTool(berth, call);
  expect([refused.status, errorCode(await refused.json())]).toEqual([503, "plugin_not_ready"]);
});

test("a plugin that never becomes ready fails its task as start_timeout, and leaves no container", async () => {
  const failed = await failInstall(berth, await packPlugin("never-ready"));
  expect(failed.cause).toMatchObject({ code: "start_timeout" });
  expect(JSON.stringify(failed.cause)).toContain("10000");
  expect(await containersOf(failed.tenant)).toEqual([]);
});

test("a plugin whose container is killed from outside is started again", async () => {
  const [container] = await containersOf(echo.tenant);
  await site.engine.killContainer(container?.id ?? "", AbortSignal.timeout(30_000));
  await eventually(async () => {
    const answer = await askTool(berth, {
      tenant: echo.tenant,
      pluginId: "berth-tests/echo",
      tool: "echo",
      parameters: { text: "back" },
    });
    return answer.ok ? true : undefined;
  });
  const now = await containersOf(echo.tenant);
  expect(now).toHaveLength(1);
  expect(ids(now)).not.toEqual([container?.id]);
});

async function containersOf(tenant: string) {
  return (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant);
}

function ids(containers: readonly { readonly id: string }[]): string[] {
  return containers.map(({ id }) => id).sort();
}

function errorCode(body: unknown): unknown {
  return (body as { error?: { code?: unknown } }).error?.code;
}

describe("a plugin that needs a library and a program of the system", () => {
  const packOf = (author: string) =>
    packPlugin("needs-system", {
      "manifest.yaml": (text) => text.replace("author: berth-tests", `author: ${author}`),
    });

  test("does not start without the library: the cause names it and the variant that has it", async () => {
    const { cause } = await failInstall(berth, await packOf("berth-tests"));
    expect(cause.code).toBe("start_crashed");
    expect(cause.message).toContain(
      "It needs the library libGL.so.1, which the variant python-full of the runtime image has: run " +
        "runtime-images/variant python-full, set BERTH_PLUGIN_IMAGES=berth-tests/needs-system=python-full, and install",
    );
  });

  test("runs on the variant that the operator has set for it; a program that this lacks is named too", async () => {
    const { tenant } = await install(berth, await packOf("acme"));
    const runOf = (program: string) => ({
      tenant,
      pluginId: "acme/needs-system",
      tool: "run",
      parameters: { program },
    });
    expect(await toolTexts(berth, runOf("acme-program"))).toEqual(["here I am\n"]);
    const error = errorOf(await callTool(berth, runOf("ffmpeg")));
    expect(error.code).toBe("plugin_error");
    expect(error.message).toContain("It needs the program ffmpeg, which the variant python-full");
  });

  test("is not installed where the variant is set but not built", async () => {
    const { cause } = await failInstall(berth, await packOf("other"));
    expect(cause).toMatchObject({
      code: "variant_not_available",
      message: expect.stringContaining("run runtime-images/variant not-built"),
    });
  });
});
