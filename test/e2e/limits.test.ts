/** Limits that change while a plugin runs: what the kernel holds then, in which container, and what calls notice. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { acceptLimits, followChange, packEcho } from "../harness/clients/changes.ts";
import {
  type AcceptedInstall,
  eventually,
  historyOf,
  install,
  type PackedPlugin,
  streamTool,
  toolTexts,
} from "../harness/clients/client.ts";
import { startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { within } from "../harness/rigs/test-engine.ts";

const MIB = 1_048_576;
const SPARE = 16 * MIB;
const STORAGE = 16 * MIB;
const MESSAGES = 12;

let site: Site;
let berth: BerthProcess;
let plugin: PackedPlugin;
let installed: AcceptedInstall;

beforeAll(async () => {
  const env = { BERTH_HOST_MEMORY_MB: "1000", BERTH_INSTALL_RETRIES_MAX: "0" };
  site = await openSite({ env });
  berth = await site.start();
  plugin = await packEcho("0.0.1", {
    "manifest.yaml": (text) => text.replace(/^ {2}memory: .*/m, `  memory: ${256 * MIB}`),
  });
  installed = await install(berth, plugin);
  await change({ storage_bytes: STORAGE });
});
afterAll(() => site?.[Symbol.asyncDispose]());

const echo = (parameters: Readonly<Record<string, unknown>>) => ({
  tenant: installed.tenant,
  pluginId: plugin.pluginId,
  tool: "echo",
  parameters,
});
const ask = async () => (await toolTexts(berth, echo({ text: "aye" }))).join();

/** Asks for the limits and answers how they were planned, how they were applied, and how the task ended. */
async function change(limits: object) {
  const accepted = await acceptLimits(berth, installed, limits);
  const events = await followChange(berth, installed, accepted);
  const path = `/v1/tenants/${installed.tenant}/tasks/${accepted.task.id}`;
  const task = await berth.json<{ applied: unknown }>(200, "GET", path);
  return { plan: accepted.task.applied, applied: task.applied, end: events.at(-1) };
}

/** The one container, once all others have gone. */
async function container(): Promise<string> {
  return await eventually(async () => {
    const [only, ...others] = await site.containers();
    return others.length === 0 ? only?.id : undefined;
  });
}

/** As the kernel holds them for the container. */
async function held(id: string) {
  const { cgroupVersion } = await site.engine.info(within());
  const files =
    cgroupVersion === "1"
      ? ["memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]
      : ["memory.max", "pids.max", "cpu.max"];
  let output = "";
  const command = ["cat", ...files.map((file) => `/sys/fs/cgroup/${file}`)];
  await site.engine.exec(
    id,
    { command, env: {}, workingDir: "/", user: "0:0" },
    {
      onOutput: (chunk) => {
        output += chunk.toString();
      },
    },
    within(),
  );
  const [memory, pids, quota, period] = output.trim().split(/\s+/).map(Number);
  return { memory, pids, cpus: (quota ?? 0) / (period ?? 1) };
}

test("new limits for CPU and processes and more memory apply to the running container, and an open call continues", async () => {
  const before = await container();
  const seen: unknown[] = [];
  const stream = (async () => {
    for await (const event of streamTool(berth, echo({ text: "on", messages: MESSAGES, delay_ms: 400 })))
      seen.push(event.name);
  })();
  await eventually(async () => (seen.length > 0 ? true : undefined));
  const changed = await change({ cpu_millis: 500, pids_max: 64, memory_bytes: 300 * MIB });
  const live = { cpu_millis: "live", pids_max: "live", memory_bytes: "live" };
  expect(changed).toMatchObject({ plan: live, applied: live, end: { state: "ready" } });
  expect(await held(before)).toEqual({ memory: 300 * MIB + STORAGE + SPARE, pids: 64, cpus: 0.5 });
  expect(seen).not.toContain("end");
  await stream;
  expect(seen).toHaveLength(MESSAGES + 1);
  expect(seen.at(-1)).toBe("end");
  expect(await container()).toBe(before);
});

test("limits on calls leave the container unchanged", async () => {
  const before = await container();
  const changed = await change({ concurrency_max: 3, timeout_ms: 20_000 });
  const calls = { concurrency_max: "next_call", timeout_ms: "next_call" };
  expect(changed).toEqual({ plan: calls, applied: calls, end: expect.objectContaining({ state: "ready" }) });
  expect(await ask()).toBe("aye 0.0.1");
  expect(await container()).toBe(before);
});

test("after a restart of Berth the changed container is adopted, and its limits can change again while it runs", async () => {
  const before = await container();
  await berth.kill("SIGTERM");
  berth = await site.start();
  expect(await ask()).toBe("aye 0.0.1");
  expect((await change({ pids_max: 65 })).applied).toEqual({ pids_max: "live" });
  expect(await container()).toBe(before);
  expect(await held(before)).toMatchObject({ memory: 300 * MIB + STORAGE + SPARE, pids: 65 });
  const runs = await historyOf(berth, installed);
  expect(runs.filter(({ ended_at }) => ended_at === null)).toHaveLength(1);
});

test("a lower memory limit replaces the container, and no call fails", async () => {
  const before = await container();
  const load = startLoad({
    urls: [berth.url],
    key: berth.adminKey,
    call: echo({ text: "aye" }),
    perSecond: 20,
    expected: "aye",
  });
  const changed = await change({ memory_bytes: 200 * MIB, cpu_millis: 1_000 });
  const rolling = { memory_bytes: "rolling", cpu_millis: "rolling" };
  expect(changed).toMatchObject({ plan: rolling, applied: rolling, end: { state: "ready" } });
  const after = await container();
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(after).not.toBe(before);
  expect(await held(after)).toEqual({ memory: 200 * MIB + STORAGE + SPARE, pids: 65, cpus: 1 });
});

test("more memory than the host has is refused as host_full with the numbers, and changes nothing", async () => {
  const before = await container();
  const { plan, applied, end } = await change({ memory_bytes: 990 * MIB });
  expect({ plan, applied }).toEqual({ plan: { memory_bytes: "live" }, applied: null });
  expect(end).toMatchObject({
    state: "failed",
    cause: {
      code: "host_full",
      details: {
        budgetBytes: 1000 * MIB,
        reservedBytes: 200 * MIB + STORAGE + SPARE,
        askedBytes: 790 * MIB,
        runtimes: 1,
      },
    },
  });
  expect(await ask()).toBe("aye 0.0.1");
  expect(await container()).toBe(before);
  expect(await held(before)).toMatchObject({ memory: 200 * MIB + STORAGE + SPARE });
});
