/** Berth is killed at any moment, on both databases: it goes on where it was, with one image and one container. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  accept,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  streamTool,
  type TaskEventJson,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, SITES, type Site } from "../harness/rigs/site.ts";

const STEPS = ["queued", "fetching", "verifying", "resolving", "building", "starting"] as const;

describe.each(SITES)("on $database", ({ database }) => {
  let site: Site;
  let berth: BerthProcess;
  let echo: PackedPlugin;
  beforeAll(async () => {
    site = await openSite({ database });
    berth = await site.start();
    echo = await packPlugin("echo");
  });
  afterAll(() => site[Symbol.asyncDispose]());

  const ask = (tenant: string, plugin = echo) =>
    toolTexts(berth, { tenant, pluginId: plugin.pluginId, tool: "echo", parameters: { text: "aye" } });

  async function killAndRestart(): Promise<void> {
    await berth.kill("SIGKILL");
    berth = await site.start();
  }

  /** Resolves with the first event that is meant; the task is not over then. */
  async function seen(
    accepted: { tenant: string; taskId: string },
    isMeant: (event: TaskEventJson) => boolean,
  ): Promise<void> {
    for await (const { data } of berth.events(
      `/v1/tenants/${accepted.tenant}/tasks/${accepted.taskId}/events`,
    )) {
      if (isMeant(data as TaskEventJson)) return;
    }
    throw new Error("the task ended before");
  }

  async function expectOneOfEach(accepted: { tenant: string }, imagesBefore: number): Promise<void> {
    const mine = (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === accepted.tenant);
    expect(mine).toMatchObject([{ phase: "running" }]);
    expect(await site.images()).toHaveLength(imagesBefore + 1);
    expect(await site.containers("build")).toEqual([]);
    expect(await site.redisPids()).toHaveLength(1);
  }

  test.each(STEPS)(
    "Berth, killed at the step %s of an install, resumes it with one image and one container",
    async (step) => {
      const plugin = await packVersion("echo", `1.0.${STEPS.indexOf(step)}`);
      await upload(berth, plugin);
      const images = (await site.images()).length;
      const accepted = await accept(berth, plugin);
      await seen(accepted, (event) => event.type === "step" && event.step === step);
      await killAndRestart();
      const events = await follow(berth, accepted);
      expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
      const steps = events.filter(({ type }) => type === "step").map((event) => event.step);
      expect(steps).toEqual([...STEPS, "ready"]);
      expect(await ask(accepted.tenant, plugin)).toEqual(["aye"]);
      await expectOneOfEach(accepted, images);
    },
  );

  test("Berth, killed during a build, leaves no build container behind", async () => {
    const plugin = await packVersion("echo", "1.1.0");
    await upload(berth, plugin);
    const images = (await site.images()).length;
    const accepted = await accept(berth, plugin);
    await eventually(async () => ((await site.containers("build")).length > 0 ? true : undefined));
    await killAndRestart();
    expect((await follow(berth, accepted)).at(-1)).toMatchObject({ state: "ready" });
    await expectOneOfEach(accepted, images);
  });

  test("plugins keep running while Berth is down, and answer from the same containers after its next start", async () => {
    const { tenant } = await install(berth, echo);
    const before = await site.containers();
    await berth.kill("SIGKILL");
    const meanwhile = await site.containers();
    expect(meanwhile.every(({ phase }) => phase === "running")).toBe(true);
    berth = await site.start();
    expect(await ask(tenant)).toEqual(["aye"]);
    expect(ids(await site.containers())).toEqual(ids(before));
  });

  test("Berth, killed during a call, leaves a plugin that answers the next call correctly", async () => {
    const { tenant } = await install(berth, echo);
    const parameters = { text: "slow", messages: 50, delay_ms: 200 };
    const call = streamTool(berth, { tenant, pluginId: echo.pluginId, tool: "echo", parameters });
    expect(await call.next()).toMatchObject({ value: { name: "item" } });
    await killAndRestart();
    await expect(call.next()).rejects.toThrow();
    expect(await ask(tenant)).toEqual(["aye"]);
  });

  test("a second Berth on the same data folder refuses to start, and names the pid of the first", async () => {
    const { code, errors } = await site.run(["serve"]);
    expect(errors).toContain(`${site.dataFolder} is in use by the process ${berth.pid}.`);
    expect(code).toBe(1);
    expect(await site.redisPids()).toHaveLength(1);
  });
});

function ids(containers: readonly { readonly id: string }[]): string[] {
  return containers.map(({ id }) => id).sort();
}
