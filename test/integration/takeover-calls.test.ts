/** Calls to what an earlier daemon had installed and that is not built yet, through both doors. */
import { afterEach, expect, test } from "vitest";
import type { BuildPriority } from "../../src/invocation/build-priority.ts";
import { anInstallation, LIMITS } from "../harness/builders/an-installation.ts";
import { dispatch } from "../harness/clients/dify.ts";
import { request } from "../harness/clients/door-request.ts";
import { type Door, openDoor } from "../harness/rigs/door.ts";
import { TENANT } from "../harness/samples/callers.ts";

let asked = 0;
const buildPriority: BuildPriority = {
  raise: async () => {
    asked += 1;
    return { place: 3, of: 12 };
  },
};
const BODY = { user_id: "u", provider: "echo", tool_name: "say", credentials: {}, tool_parameters: { a: 1 } };

let door: Door;
afterEach(() => door[Symbol.asyncDispose]());

/** Its package has not been read yet. */
async function open({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
  asked = 0;
  door = await openDoor({ buildPriority });
  const limitsGranted = { ...LIMITS, timeoutMs };
  const unread = { pluginId: "berth/later", identifier: "berth/later:0.0.1@00", poolKey: undefined };
  door.memory.installations[0] = anInstallation({ state: "installing", limitsGranted, ...unread });
  await door.invoker.refresh();
}

/** Resolves when so many calls have asked for their place. */
async function waiting(calls: number): Promise<void> {
  while (asked < calls) await new Promise((resolve) => setImmediate(resolve));
}

async function native(): Promise<Response> {
  const { url } = await door.listen();
  const headers = { accept: "application/json" };
  return await fetch(
    request(`${url}/v1/tenants/${TENANT}/plugins/berth/later/invoke_tool`, "POST", { body: BODY, headers }),
  );
}

const platform = () =>
  dispatch(
    door,
    "tool/invoke",
    { user_id: "u", data: { provider: "echo", tool: "say", tool_parameters: { a: 1 } } },
    { plugin: "berth/later" },
  );

test("a call over /v1 reports at its deadline that the plugin is building, and its place", async () => {
  await open({ timeoutMs: 50 });
  const answer = await native();
  expect(await answer.json()).toMatchObject({
    error: { code: "plugin_not_ready", details: { state: "building", place: 3, of: 12 } },
  });
  expect(answer.status).toBe(503);
});

test("a call of the platform reports the build at its deadline as a temporary state", async () => {
  await open({ timeoutMs: 50 });
  const answer = await platform();
  const text = await answer.text();
  expect(text).toContain("no available node, plugin runtime not found");
  expect(text).toContain("berth/later is being built: place 3 of 12 in the queue.");
  expect(answer.status).toBe(404);
});

test("calls are answered as soon as the plugin is ready", async () => {
  await open({ timeoutMs: 60_000 });
  const calls = [native(), platform()];
  await waiting(2);
  door.memory.installations[0] = anInstallation({ pluginId: "berth/later" });
  await door.invoker.refresh();
  for (const call of calls)
    expect([(await call).status, await (await call).text()]).toEqual([200, expect.stringContaining("text")]);
});

test("calls are refused with the cause as soon as the plugin has failed", async () => {
  await open({ timeoutMs: 60_000 });
  const [first, second] = [native(), platform()];
  await waiting(2);
  const cause = { code: "package_not_found", message: "upload it" } as const;
  door.memory.installations[0] = anInstallation({ pluginId: "berth/later", state: "failed", cause });
  await door.invoker.refresh();
  expect(await (await first).json()).toMatchObject({
    error: { code: "plugin_not_ready", details: { state: "failed", cause } },
  });
  expect(await (await second).text()).toContain("the plugin is not running and will not start by itself");
});
