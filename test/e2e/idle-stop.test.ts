/** A plugin that nobody calls is stopped where the operator wants it, and comes back for whoever calls next. */
import { expect, test } from "vitest";
import { eventually, historyOf, install, packPlugin, toolTexts } from "../harness/clients/client.ts";
import { openSite } from "../harness/rigs/site.ts";

test("a stopped plugin is started once for 50 simultaneous calls, and answers all of them", async () => {
  await using site = await openSite({ env: { BERTH_IDLE_STOP_SECONDS: "1" } });
  await using berth = await site.start();
  const installed = await install(berth, await packPlugin("echo"));
  const call = {
    tenant: installed.tenant,
    pluginId: "berth-tests/echo",
    tool: "echo",
    parameters: { text: "aye" },
  };
  const stopped = await eventually(async () => {
    const history = await historyOf(berth, installed);
    return history.every(({ state }) => state === "ended") ? history : undefined;
  });
  expect(stopped.map(({ end }) => end?.cause)).toEqual(["idle"]);
  const answers = await Promise.all(Array.from({ length: 50 }, () => toolTexts(berth, call)));
  expect(answers).toEqual(Array.from({ length: 50 }, () => ["aye"]));
  expect(await historyOf(berth, installed)).toHaveLength(2);
});

test("a plugin that ignores its stop signal is killed after the time limit", async () => {
  await using site = await openSite({ env: { BERTH_IDLE_STOP_SECONDS: "1", BERTH_STOP_SECONDS_MAX: "1" } });
  await using berth = await site.start();
  const installed = await install(berth, await packPlugin("ignores-sigterm"));
  const [ended] = await eventually(async () => {
    const history = await historyOf(berth, installed);
    return history.every(({ state }) => state === "ended") ? history : undefined;
  });
  expect(ended?.end?.cause).toBe("idle");
  expect(await site.containers()).toEqual([]);
});
