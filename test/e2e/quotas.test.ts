/** What a tenant may have, as an operator sets it for all and for one: what is refused, with which numbers, and what is shown. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AcceptedInstall,
  askTool,
  eventually,
  install,
  type PackedPlugin,
  streamTool,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { packKeeper } from "../harness/samples/keeper-plugin.ts";

const MIB = 1_048_576;

/** Keeps so many bytes under a key and says what it was answered; or waits, until another call ends that. */
const KEEPER = `RELEASED = threading.Event()


def handle(session):
    ask = session.parameters
    if "wait" in ask:
        session.text("begun")
        RELEASED.wait(120)
        return
    if "release" in ask:
        RELEASED.set()
        return
    request = {"opt": "set", "key": ask["key"], "value": "00" * ask["bytes"]}
    session.text(json.dumps(keep(session, request)))
`;

let site: Site;
let berth: BerthProcess;
let keeper: PackedPlugin;
let installed: AcceptedInstall;

beforeAll(async () => {
  site = await openSite({
    env: {
      BERTH_TENANT_INSTALLATIONS_MAX: "1",
      BERTH_TENANT_MEMORY_MB_MAX: "1000",
      BERTH_TENANT_DISK_MB_MAX: "1",
      BERTH_TENANT_CALLS_MAX: "1",
    },
  });
  berth = await site.start();
  keeper = await packKeeper({ code: KEEPER, storageBytes: 8 * MIB });
  installed = await install(berth, keeper);
});
afterAll(() => site?.[Symbol.asyncDispose]());

const call = (parameters: Readonly<Record<string, unknown>>) => ({
  tenant: installed.tenant,
  pluginId: keeper.pluginId,
  tool: "echo",
  parameters,
});
const keep = async (key: string, bytes: number) => (await toolTexts(berth, call({ key, bytes }))).join();
const quotas = () => `/v1/tenants/${installed.tenant}/quotas`;
const setQuotas = (changes: object) =>
  berth.json(200, "PUT", quotas(), { body: { installations: null, memory_bytes: null, ...changes } });

test("the settings apply to a tenant without quotas of its own, and are shown beside its usage", async () => {
  expect(await berth.json(200, "GET", quotas())).toEqual({
    quotas: { installations: null, memory_bytes: null, disk_bytes: null, calls: null, source_builds: null },
    in_force: {
      installations: 1,
      memory_bytes: 1000 * MIB,
      disk_bytes: MIB,
      calls: 1,
      source_builds: "allow",
    },
    usage: { installations: 1, memory_bytes: 372 * MIB, disk_bytes: 0, calls: 0 },
  });
});

test("a plugin's data over the disk quota is refused, and fits once the tenant has a higher quota", async () => {
  expect(await keep("a", 600_000)).toContain("ok");
  const refused = await keep("b", 600_000);
  expect(refused).toContain(`disk quota is ${MIB} bytes`);
  expect(refused).toContain("use 600000, and this needs 600000 more");
  expect(await keep("a", 500_000)).toContain("ok");
  await setQuotas({ disk_bytes: 2 * MIB });
  expect(await keep("b", 600_000)).toContain("ok");
  expect(await berth.json(200, "GET", quotas())).toMatchObject({
    quotas: { disk_bytes: 2 * MIB, calls: null },
    usage: { disk_bytes: 1_100_000 },
  });
});

test("simultaneous calls over the quota are refused with both numbers, until the quota is raised", async () => {
  const seen: unknown[] = [];
  const open = (async () => {
    for await (const { name } of streamTool(berth, call({ wait: true }))) seen.push(name);
  })();
  await eventually(async () => (seen.length > 0 ? true : undefined));
  const refused = await askTool(berth, call({ key: "c", bytes: 1 }));
  expect(refused.status).toBe(429);
  expect(await refused.json()).toMatchObject({
    error: { code: "quota_calls", details: { quota: "calls", max: 1, used: 1, asked: 1 } },
  });
  expect(await setQuotas({ calls: 2 })).toMatchObject({
    quotas: { disk_bytes: 2 * MIB, calls: 2 },
    usage: { calls: 1 },
  });
  await toolTexts(berth, call({ release: true }));
  await open;
  expect(seen.at(-1)).toBe("end");
});
