/** The memory of the host, as an operator sets it: an install that does not fit is refused, and fits once there is room. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AcceptedInstall,
  askTool,
  failInstall,
  install,
  type PackedPlugin,
  packPlugin,
  toolTexts,
  uninstall,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const RETRIES = { BERTH_INSTALL_RETRIES_MAX: "1", BERTH_INSTALL_RETRY_SECONDS: "0.05" };

let site: Site;
let berth: BerthProcess;
let echo: PackedPlugin;
let first: AcceptedInstall;
beforeAll(async () => {
  site = await openSite({ env: { BERTH_HOST_MEMORY_MB: "450", ...RETRIES } });
  echo = await packPlugin("echo");
  berth = await site.start();
  first = await install(berth, echo);
});
afterAll(() => site[Symbol.asyncDispose]());

const ask = () => ({
  tenant: first.tenant,
  pluginId: echo.pluginId,
  tool: "echo",
  parameters: { text: "aye" },
});

test("a second plugin that does not fit into the memory is refused as host_full, with the numbers", async () => {
  const { cause } = await failInstall(berth, echo);
  expect(cause).toMatchObject({
    code: "host_full",
    details: { budgetBytes: 450 * 1024 * 1024, runtimes: 1 },
  });
  expect(await site.containers()).toHaveLength(1);
});

test("a plugin fits again once the first plugin is uninstalled", async () => {
  await uninstall(berth, first);
  first = await install(berth, echo);
  expect(await toolTexts(berth, ask())).toEqual(["aye"]);
});

test("under a smaller budget, a call to a stopped plugin is refused with the cause host_full", async () => {
  await berth.kill("SIGTERM");
  for (const { id } of await site.containers())
    await site.engine.killContainer(id, AbortSignal.timeout(60_000));
  berth = await site.start({ BERTH_HOST_MEMORY_MB: "100" });
  const refused = await askTool(berth, ask());
  expect(refused.status).toBe(503);
  expect(await refused.json()).toMatchObject({
    error: { code: "plugin_not_ready", details: { cause: { code: "host_full" } } },
  });
});
