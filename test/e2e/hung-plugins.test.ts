/** Plugins that hang are replaced and told as that; a plugin is not blamed for a Berth or a host that stood still. */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AcceptedInstall,
  callTool,
  errorOf,
  eventually,
  historyOf,
  install,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length } from "../harness/samples/lengths.ts";

/** Whatever else the machine does, the waits end. */
const SHORT_CLOCKS = {
  BERTH_HEALTH_SECONDS: "0.5",
  BERTH_IDLE_HEARTBEAT_SECONDS_MAX: "4",
  BERTH_HEARTBEAT_SECONDS_MAX: "6",
  BERTH_HEALTH_PATIENCE_SECONDS: "20",
};
const SECONDS = length({ short: 9, soak: 180 });
const IDLE = length({ short: 3, soak: 30 });
const LOOPS = length({ short: 4, soak: 60 });

const OPERATORS_CLOCKS = {
  BERTH_HEALTH_SECONDS: "20",
  BERTH_IDLE_HEARTBEAT_SECONDS_MAX: "25",
  BERTH_HEARTBEAT_SECONDS_MAX: "120",
  BERTH_HEALTH_PATIENCE_SECONDS: "300",
};

let site: Site;
let berth: BerthProcess;
beforeAll(async () => {
  site = await openSite({ env: SHORT_CLOCKS });
  berth = await site.start();
});
afterAll(() => site[Symbol.asyncDispose]());

const hang = (tenant: string, parameters: Readonly<Record<string, unknown>> = {}) => ({
  tenant,
  pluginId: "berth-tests/hangs",
  tool: "hang",
  parameters,
});
const installIt = async () => await install(berth, await packPlugin("hangs"));
const endsOf = async (installed: AcceptedInstall) =>
  (await historyOf(berth, installed)).flatMap(({ end }) => (end === null ? [] : [end]));

describe("a plugin that hangs", () => {
  test.each([
    ["because its process is stopped", "stop", /process is stopped/],
    ["because it sends no heartbeat any more", "block", /no heartbeat for/],
  ])("%s is replaced, and its call fails as plugin_unhealthy", async (_what, how, why) => {
    const installed = await installIt();
    const failed = errorOf(await callTool(berth, hang(installed.tenant, { how })));
    expect(failed).toMatchObject({
      code: "plugin_unhealthy",
      details: { reason: expect.stringMatching(why) },
    });
    expect(await toolTexts(berth, hang(installed.tenant))).toEqual(["well"]);
    const [end] = await endsOf(installed);
    expect(end).toMatchObject({ cause: "unhealthy", action: { kind: "start_now" } });
    expect(end?.message).toMatch(why);
  });

  test("is also replaced when it has no call", async () => {
    const installed = await installIt();
    expect(await toolTexts(berth, hang(installed.tenant, { how: "block", after_s: 0.5 }))).toEqual(["well"]);
    const end = await eventually(async () => (await endsOf(installed))[0]);
    expect(end).toMatchObject({ cause: "unhealthy" });
    expect(await toolTexts(berth, hang(installed.tenant))).toEqual(["well"]);
  });
});

describe("no plugin is replaced", () => {
  // the full length is for the clocks that operators have
  beforeAll(async () => {
    await berth[Symbol.asyncDispose]();
    const patience = { ...SHORT_CLOCKS, BERTH_HEALTH_PATIENCE_SECONDS: "60" };
    berth = await site.start(length({ short: 1, soak: 0 }) === 1 ? patience : OPERATORS_CLOCKS);
  });

  const installAll = async () => {
    const plugin = await packPlugin("echo");
    return await Promise.all(Array.from({ length: IDLE }, () => install(berth, plugin)));
  };
  const endsOfAll = async (all: readonly AcceptedInstall[]) => (await Promise.all(all.map(endsOf))).flat();

  test(`by a Berth that was stopped for ${SECONDS} s`, { timeout: 600_000 }, async () => {
    const all = await installAll();
    process.kill(berth.pid, "SIGSTOP");
    await delay(SECONDS * 1000);
    process.kill(berth.pid, "SIGCONT");
    // three checks and their time limits
    await delay(length({ short: 3_000, soak: 40_000 }));
    expect(await endsOfAll(all)).toEqual([]);
  });

  test(`on a host with ${LOOPS} busy processes for ${SECONDS} s`, { timeout: 900_000 }, async () => {
    const all = await installAll();
    const loops = Array.from({ length: LOOPS }, () =>
      spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }),
    );
    try {
      await delay(SECONDS * 1000);
    } finally {
      for (const loop of loops) loop.kill("SIGKILL");
    }
    expect(await endsOfAll(all)).toEqual([]);
  });
});
