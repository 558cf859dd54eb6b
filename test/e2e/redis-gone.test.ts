/** The embedded Redis is away: what was accepted goes on afterwards, and running plugins do not notice. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AcceptedInstall,
  accept,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length } from "../harness/samples/lengths.ts";

let site: Site;
let berth: BerthProcess;
let echo: PackedPlugin;
let running: AcceptedInstall;
beforeAll(async () => {
  site = await openSite();
  berth = await site.start();
  echo = await packPlugin("echo");
  running = await install(berth, echo);
});
afterAll(() => site[Symbol.asyncDispose]());

const ask = (tenant: string) =>
  toolTexts(berth, { tenant, pluginId: echo.pluginId, tool: "echo", parameters: { text: "aye" } });

async function redisPid(): Promise<number> {
  const [pid, ...more] = await site.redisPids();
  if (pid === undefined || more.length > 0) throw new Error(`there are ${more.length + 1} servers or none`);
  return pid;
}

test("while Redis hangs, installs are accepted and calls are answered; the installs continue afterwards", async () => {
  const pid = await redisPid();
  process.kill(pid, "SIGSTOP");
  let accepted: AcceptedInstall[];
  try {
    expect(await berth.json(503, "GET", "/health/ready")).toMatchObject({
      parts: {
        queue: { ok: false, code: "queue_unavailable" },
        database: { ok: true },
        engine: { ok: true },
      },
    });
    accepted = await Promise.all([accept(berth, echo), accept(berth, echo)]);
    const until = Date.now() + length({ short: 1_000, soak: 60_000 });
    while (Date.now() < until) {
      const answers = await Promise.all(Array.from({ length: 20 }, () => ask(running.tenant)));
      expect(answers).toEqual(Array(20).fill(["aye"]));
    }
    for (const { tenant, taskId } of accepted) {
      expect(await berth.json(200, "GET", `/v1/tenants/${tenant}/tasks/${taskId}`)).toMatchObject({
        state: "queued",
      });
    }
  } finally {
    process.kill(pid, "SIGCONT");
  }
  for (const one of accepted) {
    expect((await follow(berth, one)).at(-1)).toMatchObject({ state: "ready" });
    expect(await ask(one.tenant)).toEqual(["aye"]);
  }
});

test("a Redis that was killed is started again once, and installs continue", async () => {
  const killed = await redisPid();
  process.kill(killed, "SIGKILL");
  const accepted = await accept(berth, echo);
  expect(await ask(running.tenant)).toEqual(["aye"]);
  expect((await follow(berth, accepted)).at(-1)).toMatchObject({ state: "ready" });
  await eventually(async () => ((await site.redisPids()).length === 1 ? true : undefined));
  expect(await redisPid()).not.toBe(killed);
});
