/** What an operator chooses by setting, and how the commands begin and end. */
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  eventually,
  failInstall,
  historyOf,
  install,
  type PackedPlugin,
  packPlugin,
  toolTexts,
  uninstall,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

let site: Site;
let echo: PackedPlugin;
beforeAll(async () => {
  site = await openSite();
  echo = await packPlugin("echo");
});
afterAll(() => site[Symbol.asyncDispose]());

const ask = (berth: BerthProcess, tenant: string) =>
  toolTexts(berth, { tenant, pluginId: echo.pluginId, tool: "echo", parameters: { text: tenant } });

test("up --once shows the main job, exits with code 0 and leaves nothing running; a second run finds its image", async () => {
  await using place = await openSite({ database: "embedded" });
  // The log tells which containers would be its own.
  const first = await place.run(["up", "--once"], { BERTH_LOG_LEVEL: "debug" });
  expect(first).toMatchObject({ code: 0 });
  for (const line of [
    /install: queued at 0\.00 s/,
    /install: ready at/,
    /limits in force: memory 256 MiB/,
    /text "Every"/,
    /stopped/,
  ]) {
    expect(first.output).toMatch(line);
  }
  expect(await place.containers()).toEqual([]);
  expect(await place.containers("build")).toEqual([]);
  expect(await place.redisPids()).toEqual([]);

  const images = ids(await place.images());
  const second = await place.run(["up", "--once"]);
  expect(second).toMatchObject({ code: 0 });
  expect(second.output).toContain("(already stored)");
  expect(second.output).toContain("already installed");
  expect(second.output).toMatch(/text "Every"/);
  expect(ids(await place.images())).toEqual(images);
  expect(await place.containers()).toEqual([]);
});

test("with shared isolation, two tenants share a container until the last uninstall; only the operator reads its log", async () => {
  await using berth = await site.start({ BERTH_ISOLATION: "shared" });
  const [one, other] = [await install(berth, echo), await install(berth, echo)];
  const shared = async () =>
    (await site.containers()).filter(({ labels }) => (labels["berth.tenant"] ?? "") === "");
  expect(await shared()).toHaveLength(1);
  expect(await ask(berth, one.tenant)).toEqual([one.tenant]);
  expect(await ask(berth, other.tenant)).toEqual([other.tenant]);

  const { key } = await berth.json<{ key: string }>(201, "POST", "/v1/keys", {
    body: { name: "one", tenant_id: one.tenant },
  });
  const path = `/v1/tenants/${one.tenant}/installations/${one.installationId}/logs`;
  expect((await berth.request("GET", path, { key })).status).toBe(403);
  expect((await berth.request("GET", path)).status).toBe(200);

  await uninstall(berth, one);
  expect(await ask(berth, other.tenant)).toEqual([other.tenant]);
  expect(await shared()).toHaveLength(1);
  await uninstall(berth, other);
  expect(await shared()).toEqual([]);
});

test("a plugin without calls is stopped after the idle time, and started by the next call", async () => {
  await using berth = await site.start({ BERTH_IDLE_STOP_SECONDS: "1" });
  const installed = await install(berth, echo);
  const { tenant } = installed;
  const mine = async () =>
    (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant);
  expect(await ask(berth, tenant)).toEqual([tenant]);
  await eventually(async () => ((await mine()).length === 0 ? true : undefined));
  expect(await ask(berth, tenant)).toEqual([tenant]);
  // On a slow machine the second one may be stopped again by now.
  const [second, first] = (await historyOf(berth, installed)).slice(-2);
  expect(first?.end?.cause).toBe("idle");
  expect(second?.id).not.toBe(first?.id);
});

test("a Python version that no image has causes a warning by default, and a refusal if the version must be exact", async () => {
  const old = await packPlugin("echo", {
    "manifest.yaml": (text) => text.replace('version: "3.12"', 'version: "3.5"'),
  });
  {
    await using berth = await site.start();
    const installed = await install(berth, old);
    const path = `/v1/tenants/${installed.tenant}/installations/${installed.installationId}`;
    expect(await berth.json(200, "GET", path)).toMatchObject({
      warnings: expect.arrayContaining([expect.stringMatching(/asks for Python 3\.5 and runs on 3\.\d+/)]),
    });
  }
  await using berth = await site.start({ BERTH_PYTHON_VERSION: "exact" });
  const { cause } = await failInstall(berth, old);
  expect(cause).toMatchObject({
    code: "python_not_available",
    details: { field: "meta.runner.version", value: "3.5", accepted: expect.any(Array) },
  });
});

test("wrong settings fail the start, and all of them are named at once", async () => {
  const { code, errors } = await site.run(["serve"], {
    BERTH_PORT: "many",
    BERTH_ISOLATION: "none",
    BERTH_COLOUR: "red",
  });
  expect(code).toBe(1);
  for (const line of [
    /BERTH_PORT is "many"; accepted: a whole number/,
    /BERTH_ISOLATION is "none"; accepted: tenant, shared/,
    /BERTH_COLOUR is not a setting of Berth/,
  ]) {
    expect(errors).toMatch(line);
  }
});

test.each(["short", "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi"])(
  "the admin key %s is refused, and is not printed",
  async (key) => {
    const { code, output, errors } = await site.run(["serve"], { BERTH_ADMIN_KEY: key });
    expect(code).toBe(1);
    expect(errors).toContain("The admin key");
    expect(output + errors).not.toContain(key);
  },
);

function ids(things: readonly { readonly id: string }[]): string[] {
  return things.map(({ id }) => id).sort();
}
