/** What becomes of calls, containers, data and answers when what is installed changes. */
import { access, mkdir, writeFile } from "node:fs/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  acceptChange,
  acceptLimits,
  change,
  changeLimits,
  followChange,
  packEcho,
  pathOf,
} from "../harness/clients/changes.ts";
import {
  type AcceptedInstall,
  askTool,
  aTenant,
  eventually,
  follow,
  getInstallation,
  install,
  type PackedPlugin,
  streamTool,
  type TaskJson,
  toolTexts,
  uninstall,
} from "../harness/clients/client.ts";
import { startLoad } from "../harness/clients/load.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { length, SOON_MS } from "../harness/samples/lengths.ts";

const MIB = 1_048_576;
const PER_SECOND = 50;
const ROUNDS = length({ short: 1, soak: 20 });
/** Long enough to outlast four changes on a busy machine; its call may take a minute. */
const STREAM = { messages: length({ short: 60, soak: 1_500 }), delay_ms: 400 };

let site: Site;
let berth: BerthProcess;
let one: PackedPlugin;
let two: PackedPlugin;
let broken: PackedPlugin;

const patient = {
  "manifest.yaml": (text: string) =>
    text
      .replace(/^ {2}memory: .*/m, `  memory: ${256 * MIB}`)
      .replace(/^resource:/m, "timeout: 600\nresource:"),
};

beforeAll(async () => {
  site = await openSite({ env: { BERTH_PLUGIN_CALLS_MAX: "500" } });
  berth = await site.start();
  one = await packEcho("0.0.1", patient);
  two = await packEcho("0.0.2", patient);
  broken = await packEcho("0.0.3", {
    ...patient,
    "main.py": (text) => `import a_module_that_nobody_ships\n${text}`,
  });
  for (const { bytes } of [one, two, broken]) await berth.json(201, "POST", "/v1/packages", { body: bytes });
});
afterAll(() => site?.[Symbol.asyncDispose]());

const echo = (tenant: string, parameters: Readonly<Record<string, unknown>> = { text: "aye" }) => ({
  tenant,
  pluginId: one.pluginId,
  tool: "echo",
  parameters,
});
const ask = async ({ tenant }: AcceptedInstall) => (await toolTexts(berth, echo(tenant))).join();
async function codeOf(answer: Response): Promise<string> {
  return ((await answer.json()) as { error: { code: string } }).error.code;
}

async function containersOf({ tenant }: AcceptedInstall) {
  return (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant);
}

test("under a steady load and one long stream, an upgrade, a rollback, new limits and a restart lose no call", async () => {
  const installed = await install(berth, one);
  const call = echo(installed.tenant);
  const stream = Array.fromAsync(streamTool(berth, echo(installed.tenant, { text: "long", ...STREAM })));
  const load = startLoad({
    urls: [berth.url],
    key: berth.adminKey,
    call,
    perSecond: PER_SECOND,
    expected: "aye",
  });
  const answers: string[] = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    await change(berth, installed, "upgrade", { identifier: two.identifier });
    answers.push(await ask(installed));
    await change(berth, installed, "rollback");
    answers.push(await ask(installed));
    await changeLimits(berth, installed, { memory_bytes: (300 + round) * MIB });
    await change(berth, installed, "restart");
    answers.push(await ask(installed));
  }
  const seen = load.done;
  await eventually(async () => (load.done > seen + PER_SECOND ? true : undefined));
  await load.stop();
  expect(load.failures).toEqual([]);
  const turn = ["aye 0.0.2", "aye 0.0.1", "aye 0.0.1"];
  expect(answers).toEqual(Array.from({ length: ROUNDS }, () => turn).flat());
  const events = await stream;
  expect(events.at(-1)).toMatchObject({ name: "end" });
  const texts = events.slice(0, -1).map(({ data }) => (data as { message: { text: string } }).message.text);
  expect(texts).toEqual(Array(STREAM.messages).fill("long 0.0.1"));
  expect(await getInstallation(berth, installed)).toMatchObject({
    state: "ready",
    identifier: one.identifier,
    previous_identifier: two.identifier,
    limits_granted: { memory_bytes: (300 + ROUNDS - 1) * MIB },
  });
  // what drained has gone: one container, and no pool but its own
  await eventually(async () => ((await containersOf(installed)).length === 1 ? true : undefined));
  await uninstall(berth, installed);
}, 600_000);

describe("an upgrade", () => {
  test("to a version that does not start fails with the cause, keeps the old version serving, and leaves no new container", async () => {
    const installed = await install(berth, one);
    const accepted = await acceptChange(berth, installed, "upgrade", { identifier: broken.identifier });
    const events = await followChange(berth, installed, accepted);
    expect(events.at(-1)).toMatchObject({ type: "end", state: "failed", cause: { code: "start_crashed" } });
    expect(JSON.stringify(events)).toContain("a_module_that_nobody_ships");
    expect(await ask(installed)).toBe("aye 0.0.1");
    const shown = await getInstallation(berth, installed);
    expect(shown).toMatchObject({ state: "ready", identifier: one.identifier, previous_identifier: null });
    const [left, ...others] = await eventually(async () => {
      const found = await containersOf(installed);
      return found.length === 1 ? found : undefined;
    });
    expect([left?.phase, others]).toEqual(["running", []]);
    await uninstall(berth, installed);
  });

  test("to the same version again returns the first task; another change meanwhile is refused and names that task", async () => {
    const installed = await install(berth, one);
    const body = { identifier: two.identifier };
    const first = await acceptChange(berth, installed, "upgrade", body);
    const again = await acceptChange(berth, installed, "upgrade", body);
    expect([again.task.id, again.created]).toEqual([first.task.id, false]);
    const other = await berth.request("POST", `${pathOf(installed)}/restart`);
    expect(other.status).toBe(409);
    expect(await other.json()).toMatchObject({
      error: { code: "conflict", details: { task_id: first.task.id, kind: "upgrade" } },
    });
    await followChange(berth, installed, first);
    const later = await acceptChange(berth, installed, "upgrade", body);
    expect([later.task.id, later.task.state, later.created]).toEqual([first.task.id, "ready", false]);
    await uninstall(berth, installed);
  });

  test("of a disabled installation leaves it disabled; the new version serves once it is enabled", async () => {
    const installed = await install(berth, one);
    await change(berth, installed, "disable");
    await change(berth, installed, "upgrade", { identifier: two.identifier });
    expect(await getInstallation(berth, installed)).toMatchObject({
      state: "disabled",
      identifier: two.identifier,
    });
    expect(await containersOf(installed)).toEqual([]);
    await change(berth, installed, "enable");
    expect(await ask(installed)).toBe("aye 0.0.2");
    await uninstall(berth, installed);
  });

  test("of an installation in crash_loop makes it ready again", async () => {
    const dying = await packEcho("0.0.1", {
      "manifest.yaml": (text) => text.replace(/^name: echo$/m, "name: dying"),
      "provider/echo.yaml": (text) => text.replace(/^ {2}name: echo$/m, "  name: dying"),
      "main.py": (text) => `import os, threading\nthreading.Timer(1.5, os._exit, [3]).start()\n${text}`,
    });
    const mended = await packEcho("0.0.2", {
      "manifest.yaml": (text) => text.replace(/^name: echo$/m, "name: dying"),
      "provider/echo.yaml": (text) => text.replace(/^ {2}name: echo$/m, "  name: dying"),
    });
    const installed = await install(berth, dying);
    await berth.json(201, "POST", "/v1/packages", { body: mended.bytes });
    await eventually(async () =>
      (await getInstallation(berth, installed)).state === "crash_loop" ? true : undefined,
    );
    await change(berth, installed, "upgrade", { identifier: mended.identifier });
    expect(await getInstallation(berth, installed)).toMatchObject({ state: "ready", cause: null });
    const call = {
      tenant: installed.tenant,
      pluginId: dying.pluginId,
      tool: "echo",
      parameters: { text: "aye" },
    };
    expect(await toolTexts(berth, call)).toEqual(["aye 0.0.2"]);
    await uninstall(berth, installed);
  }, 120_000);
});

test("a rollback starts the previous image at once, without resolving or building; a second rollback undoes the first", async () => {
  const installed = await install(berth, one);
  await change(berth, installed, "upgrade", { identifier: two.identifier });
  const took: number[] = [];
  for (const expected of ["aye 0.0.1", "aye 0.0.2", "aye 0.0.1"]) {
    const began = performance.now();
    const events = await change(berth, installed, "rollback");
    took.push(performance.now() - began);
    const steps = events.flatMap(({ type, step }) => (type === "step" ? [step] : []));
    expect(steps).toEqual(["queued", "starting", "ready"]);
    expect(await ask(installed)).toBe(expected);
  }
  expect(Math.max(...took)).toBeLessThan(SOON_MS);
  const fresh = await install(berth, one);
  const refused = await berth.request("POST", `${pathOf(fresh)}/rollback`);
  expect([refused.status, await codeOf(refused)]).toEqual([409, "conflict"]);
  for (const gone of [installed, fresh]) await uninstall(berth, gone);
});

test("a disabled installation refuses calls at once and stops after its last call; once enabled, it serves again", async () => {
  const installed = await install(berth, one);
  const long = Array.fromAsync(
    streamTool(berth, echo(installed.tenant, { text: "long", messages: 8, delay_ms: 250 })),
  );
  const accepted = await acceptChange(berth, installed, "disable");
  expect(accepted.installation).toMatchObject({ desired: "disabled", state: "disabled" });
  const refused = await askTool(berth, echo(installed.tenant));
  expect([refused.status, await codeOf(refused)]).toEqual([409, "plugin_disabled"]);
  const restart = await berth.request("POST", `${pathOf(installed)}/restart`);
  expect(restart.status).toBe(409);
  await followChange(berth, installed, accepted);
  expect((await long).at(-1)).toMatchObject({ name: "end" });
  expect(await containersOf(installed)).toEqual([]);
  await change(berth, installed, "enable");
  expect(await ask(installed)).toBe("aye 0.0.1");
  await uninstall(berth, installed);
});

test("limits: a refusal names the field, a failed start keeps the old container, and chosen limits survive an upgrade", async () => {
  const heavy = await packEcho("0.1.0", {
    ...patient,
    "main.py": (text) => `BALLAST = b"x" * (220 << 20)\n${text}`,
  });
  const installed = await install(berth, heavy);
  for (const [limits, field] of [
    [{ memory_bytes: "much" }, "limits.memory_bytes"],
    [{ memory_bytes: 2 ** 50 }, "limits.memory_bytes"],
    [{ timeout_ms: 0 }, "limits.timeout_ms"],
    [{ wheels: 4 }, "limits.wheels"],
    [{}, "limits"],
  ] as const) {
    const answer = await berth.request("PATCH", pathOf(installed), { body: { limits } });
    const { error } = (await answer.json()) as { error: { details: Record<string, unknown> } };
    expect([answer.status, error.details["field"]]).toEqual([400, field]);
    expect(error.details).toHaveProperty("accepted");
  }
  const small = await acceptLimits(berth, installed, { memory_bytes: 32 * MIB, storage_bytes: 16 * MIB });
  const events = await followChange(berth, installed, small);
  expect(events.at(-1)).toMatchObject({ state: "failed", cause: { code: "start_crashed" } });
  expect(await ask(installed)).toBe("aye 0.1.0");
  await changeLimits(berth, installed, { memory_bytes: 400 * MIB, concurrency_max: 7 });
  expect(await ask(installed)).toBe("aye 0.1.0");
  const newer = await packEcho("0.2.0", patient);
  await berth.json(201, "POST", "/v1/packages", { body: newer.bytes });
  await change(berth, installed, "upgrade", { identifier: newer.identifier });
  expect((await getInstallation(berth, installed)).limits_granted).toMatchObject({
    memory_bytes: 400 * MIB,
    concurrency_max: 7,
  });
  await changeLimits(berth, installed, { memory_bytes: null });
  expect((await getInstallation(berth, installed)).limits_granted).toMatchObject({
    memory_bytes: 256 * MIB,
    concurrency_max: 7,
  });

  // one that cannot start any more says so, and stays disabled
  await change(berth, installed, "upgrade", { identifier: heavy.identifier });
  await change(berth, installed, "disable");
  await changeLimits(berth, installed, { memory_bytes: 32 * MIB, storage_bytes: 16 * MIB });
  const enabling = await followChange(berth, installed, await acceptChange(berth, installed, "enable"));
  expect(enabling.at(-1)).toMatchObject({ state: "failed", cause: { code: "start_crashed" } });
  expect(await getInstallation(berth, installed)).toMatchObject({
    state: "disabled",
    cause: { code: "start_crashed" },
  });
  await changeLimits(berth, installed, { memory_bytes: null, storage_bytes: null });
  await change(berth, installed, "enable");
  expect(await ask(installed)).toBe("aye 0.1.0");
  await uninstall(berth, installed);
}, 120_000);

test("an upload upgrades older installations automatically if it or the tenant asks for that; others keep their version", async () => {
  const named = {
    "manifest.yaml": (text: string) => text.replace(/^name: echo$/m, "name: auto"),
    "provider/echo.yaml": (text: string) => text.replace(/^ {2}name: echo$/m, "  name: auto"),
  };
  const [first, beta, final, last] = await Promise.all([
    ...[packEcho("1.9.0", named), packEcho("1.10.0-beta1", named), packEcho("1.10.0", named)],
    packEcho("1.11.0", named),
  ] as const);
  const texts = ({ tenant }: AcceptedInstall) =>
    toolTexts(berth, { tenant, pluginId: first.pluginId, tool: "echo", parameters: { text: "aye" } });
  const [plain, chosen] = [await install(berth, first), await install(berth, first)];
  await berth.json(200, "PUT", `/v1/tenants/${chosen.tenant}/settings`, { body: { upgrade: true } });

  const byChoice = await berth.json<Uploaded>(201, "POST", "/v1/packages", { body: beta.bytes });
  expect(byChoice.upgrades).toMatchObject([{ kind: "upgrade", tenant_id: chosen.tenant }]);
  await follow(berth, { tenant: chosen.tenant, taskId: byChoice.upgrades[0]?.id ?? "" });
  expect([await texts(plain), await texts(chosen)]).toEqual([["aye 1.9.0"], ["aye 1.10.0-beta1"]]);

  const asked = await berth.json<Uploaded>(201, "POST", "/v1/packages?upgrade=true", { body: final.bytes });
  const tenants = asked.upgrades.map(({ tenant_id }) => tenant_id);
  expect(tenants.sort()).toEqual([plain.tenant, chosen.tenant].sort());
  for (const { id, tenant_id } of asked.upgrades) await follow(berth, { tenant: tenant_id, taskId: id });
  expect([await texts(plain), await texts(chosen)]).toEqual([["aye 1.10.0"], ["aye 1.10.0"]]);

  // a tenant's upload is nobody else's upgrade, and an older version is none
  const { key } = await berth.json<{ key: string }>(201, "POST", "/v1/keys", {
    body: { name: "mine", tenant_id: plain.tenant },
  });
  const own = await berth.json<Uploaded>(201, "POST", "/v1/packages?upgrade=true", { body: last.bytes, key });
  expect(own.upgrades).toMatchObject([{ tenant_id: plain.tenant }]);
  await follow(berth, { tenant: plain.tenant, taskId: own.upgrades[0]?.id ?? "" });
  expect([await texts(plain), await texts(chosen)]).toEqual([["aye 1.11.0"], ["aye 1.10.0"]]);
  const older = await berth.json<Uploaded>(200, "POST", "/v1/packages?upgrade=true", { body: first.bytes });
  expect([older.upgrades, older.upgrades_waiting]).toEqual([[], 0]);
  for (const gone of [plain, chosen]) await uninstall(berth, gone);
}, 120_000);

interface Uploaded {
  readonly upgrades: readonly (TaskJson & { readonly kind: string; readonly tenant_id: string })[];
  readonly upgrades_waiting: number;
}

describe("the stored data of a plugin", () => {
  const memory = {
    "manifest.yaml": (text: string) =>
      text
        .replace(/^name: echo$/m, "name: keeps")
        .replace("permission: {}", "permission: {storage: {enabled: true, size: 1048576}}"),
    "provider/echo.yaml": (text: string) => text.replace(/^ {2}name: echo$/m, "  name: keeps"),
  };

  test("survives an upgrade and an uninstall, and is deleted by a purge", async () => {
    const [keeps, newer] = [await packEcho("0.0.1", memory), await packEcho("0.0.2", memory)];
    const tenant = aTenant();
    const folder = `${site.dataFolder}/storage/persistence/${tenant}/${keeps.pluginId}`;
    const isKept = () =>
      access(`${folder}/value`).then(
        () => true,
        () => false,
      );
    const installed = await install(berth, keeps, tenant);
    await mkdir(folder, { recursive: true });
    await writeFile(`${folder}/value`, "kept");
    await berth.json(201, "POST", "/v1/packages", { body: newer.bytes });
    await change(berth, installed, "upgrade", { identifier: newer.identifier });
    expect(await isKept()).toBe(true);
    await uninstall(berth, installed);
    expect(await isKept()).toBe(true);
    const again = await install(berth, keeps, tenant);
    const { task } = await berth.json<{ task: TaskJson }>(202, "DELETE", `${pathOf(again)}?purge=true`);
    expect((await follow(berth, { tenant, taskId: task.id })).at(-1)).toMatchObject({ state: "ready" });
    expect(await isKept()).toBe(false);
  });
});
