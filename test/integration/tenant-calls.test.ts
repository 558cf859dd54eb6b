/** The quota of concurrent calls of a tenant, over all its plugins and all ways to call them. */
import { expect, test } from "vitest";
import { NO_QUOTAS } from "../../src/domain/tenant-quotas.ts";
import { dispatch, refusalOf } from "../harness/clients/dify.ts";
import { request } from "../harness/clients/door-request.ts";
import { parseEvents } from "../harness/clients/parse-events.ts";
import { until } from "../harness/clients/until.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { callHook, errorOf, openHookDoor, sayHello } from "../harness/rigs/hook.ts";
import { ADMIN_KEY, TENANT } from "../harness/samples/callers.ts";

const TOOL = { user_id: "u", data: { provider: "echo", tool: "say", tool_parameters: { n: 1 } } };
const BODY = { user_id: "u", provider: "echo", tool_name: "say", tool_parameters: { n: 1 } };
const QUOTA = { quota: "calls", max: 2, used: 2, asked: 1 };

test("over a tenant's quota of calls every route refuses with both numbers, until a call ends", async () => {
  const sessions: FakeSession[] = [];
  const door = await openHookDoor({ script: (session) => void sessions.push(session) });
  door.memory.quotas.set(TENANT, { ...NO_QUOTAS, callsMax: 2 });
  await door.invoker.refresh();
  const { url } = await door.listen();
  const invoke = () =>
    fetch(request(`${url}/v1/tenants/${TENANT}/plugins/berth/echo/invoke_tool`, "POST", { body: BODY }));
  const [first, second] = [invoke(), callHook(door)];
  await until(() => sessions.length === 2);

  const refused = await invoke();
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({ error: { code: "quota_calls", details: QUOTA } });
  const platform = await dispatch(door, "tool/invoke", TOOL);
  expect(JSON.stringify(await refusalOf(platform))).toContain("2 calls in flight");
  const hook = errorOf(await callHook(door));
  expect(hook.message).toContain("2 calls in flight");
  expect(sessions).toHaveLength(2);
  const path = `${url}/v1/tenants/${TENANT}/quotas`;
  const shown = await fetch(request(path, "GET", { key: ADMIN_KEY }));
  expect(await shown.json()).toMatchObject({
    quotas: { calls: 2, installations: null },
    in_force: { calls: 2 },
    usage: { calls: 2 },
  });

  for (const session of sessions.splice(0)) sayHello(session);
  await Promise.all([first.then((answer) => answer.text()), second]);
  await until(() => door.invoker.callsOf(TENANT) === 0);
  const third = invoke();
  await until(() => sessions.length === 1);
  sessions[0]?.end();
  expect(parseEvents(await (await third).text()).at(-1)).toMatchObject({ event: "end" });
});
