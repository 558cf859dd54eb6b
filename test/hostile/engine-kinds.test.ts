/** Engines that Berth cannot use, or not for all that is asked: it says so by name, and says what to change. */
import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { networkSpec } from "../../src/runtime/launch/profile.ts";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  accept,
  follow,
  install,
  packPlugin,
  type TaskEventJson,
  toolTexts,
  uninstall,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { makeOwnEngine } from "../harness/rigs/own-engine.ts";
import { openSite } from "../harness/rigs/site.ts";

test("an engine with userns-remap fails the start, and the error names what to change", async () => {
  await using scope = new Scope();
  const own = scope.use(await makeOwnEngine({ remapUsersTo: 400_000 }));
  const site = scope.use(await openSite({ env: { BERTH_ENGINE_SOCKET: own.socketPath } }));
  const { code, errors } = await site.run(["serve"]);
  expect(errors).toContain("an engine without userns-remap");
  expect(code).toBe(1);
});

test("an engine whose address pool is exhausted fails the start, and the error names BERTH_EGRESS_SUBNET", async () => {
  await using scope = new Scope();
  const own = scope.use(await makeOwnEngine({ addressPool: "10.213.0.0/29" }));
  const taken = networkSpec(randomBytes(4).toString("hex"), {});
  await own.engine.ensureNetwork(taken, AbortSignal.timeout(60_000));
  scope.add(() => own.engine.removeNetwork(taken.name, AbortSignal.timeout(60_000)));
  const site = scope.use(
    await openSite({ env: { BERTH_ENGINE_SOCKET: own.socketPath, BERTH_EGRESS: "open" } }),
  );
  const { code, errors } = await site.run(["serve"]);
  expect(errors).toContain("set a free one in BERTH_EGRESS_SUBNET");
  expect(code).toBe(1);
});

test("a start that finds no free address names BERTH_EGRESS_SUBNET, is retried, and succeeds once an address is free", async () => {
  await using scope = new Scope();
  // Two addresses: the gateway's, and one more.
  const own = scope.use(await makeOwnEngine({ addressPool: "10.213.0.0/30" }));
  const site = scope.use(
    await openSite({ env: { BERTH_ENGINE_SOCKET: own.socketPath, BERTH_EGRESS: "open" } }),
  );
  const berth = await site.start();
  const echo = await packPlugin("echo");
  const first = await install(berth, echo);
  const second = await accept(berth, echo);
  const { cause } = await firstRetry(berth, second);
  expect(cause).toMatchObject({
    code: "host_full",
    message: expect.stringContaining("BERTH_EGRESS_SUBNET"),
  });
  const call = { pluginId: echo.pluginId, tool: "echo", parameters: { text: "aye" } };
  expect(await toolTexts(berth, { ...call, tenant: first.tenant })).toEqual(["aye"]);
  await uninstall(berth, first);
  expect((await follow(berth, second)).at(-1)).toMatchObject({ state: "ready" });
  expect(await toolTexts(berth, { ...call, tenant: second.tenant })).toEqual(["aye"]);
});

async function firstRetry(berth: BerthProcess, { tenant, taskId }: AcceptedInstall): Promise<TaskEventJson> {
  for await (const { data } of berth.events(`/v1/tenants/${tenant}/tasks/${taskId}/events`)) {
    const event = data as TaskEventJson;
    if (event.type === "retry" || event.type === "end") return event;
  }
  throw new Error("the task was not tried again");
}
