/**
 * One Berth whose folders lie each on a small disk of its own. One disk at a time is full: Berth lives, names what it
 * refuses, and goes on by itself when there is room again.
 */
import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  accept,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { mountSmallDisk, type SmallDisk } from "../harness/rigs/small-disk.ts";
import { length } from "../harness/samples/lengths.ts";

const FOLDERS = ["storage", "run", "redis", "logs"] as const;

const scope = new Scope();
const disks = new Map<(typeof FOLDERS)[number], SmallDisk>();
let site: Site;
let berth: BerthProcess;
let echo: PackedPlugin;
let running: AcceptedInstall;
beforeAll(async () => {
  site = scope.use(await openSite({ database: "embedded" }));
  for (const folder of FOLDERS)
    disks.set(folder, scope.use(await mountSmallDisk(join(site.dataFolder, folder), { mib: 16 })));
  berth = await site.start();
  echo = await packPlugin("echo");
  running = await install(berth, echo);
});
afterAll(() => scope.close());

async function fill(folder: (typeof FOLDERS)[number]): Promise<AsyncDisposable> {
  const disk = disks.get(folder);
  if (disk === undefined) throw new Error(`${folder} has no disk of its own`);
  return await disk.fill();
}

const ask = (tenant = running.tenant, parameters = {}) =>
  toolTexts(berth, {
    tenant,
    pluginId: echo.pluginId,
    tool: "echo",
    parameters: { text: "aye", ...parameters },
  });
const ready = async () => (await berth.request("GET", "/health/ready")).status;

async function expectAlive(): Promise<void> {
  expect(await berth.json(200, "GET", "/health")).toEqual({ status: "ok" });
  expect(await ask()).toEqual(["aye"]);
}

test("an upload to a full disk of packages is refused as `disk_full`, and accepted when there is room", async () => {
  const plugin = await packVersion("echo", "2.0.0");
  {
    await using _full = await fill("storage");
    const refusal = await berth.json(507, "POST", "/v1/packages", { body: plugin.bytes });
    expect(refusal).toMatchObject({ error: { code: "disk_full" } });
    expect(await ready()).toBe(200);
    await expectAlive();
  }
  await upload(berth, plugin);
});

test("a full disk of sockets delays starts as `disk_full` and ends no plugin; the starts continue when there is room", async () => {
  let accepted: AcceptedInstall;
  {
    await using _full = await fill("run");
    accepted = await accept(berth, echo);
    await eventually(async () =>
      berth.log.some((line) => line["op"] === "task.install" && line["code"] === "disk_full")
        ? true
        : undefined,
    );
    await expectAlive();
  }
  expect((await follow(berth, accepted)).at(-1)).toMatchObject({ state: "ready" });
  expect(await ask(accepted.tenant)).toEqual(["aye"]);
});

test("a full disk of the embedded Redis fails no call; accepted installs wait, and continue when there is room", async () => {
  let accepted: AcceptedInstall;
  {
    await using _full = await fill("redis");
    // It notices a full disk when it writes, and the last block of its file has room for a few commands.
    const socket = join(site.dataFolder, "redis/redis.sock");
    await promisify(execFile)("redis-cli", ["-s", socket, "SET", "wide", "x".repeat(10_000)]);
    await eventually(async () => ((await ready()) === 503 ? true : undefined));
    accepted = await accept(berth, echo);
    expect(await berth.json(503, "GET", "/health/ready")).toMatchObject({
      parts: {
        queue: { ok: false, code: "queue_unavailable" },
        database: { ok: true },
        engine: { ok: true },
      },
    });
    await expectAlive();
    const path = `/v1/tenants/${accepted.tenant}/tasks/${accepted.taskId}`;
    expect(await berth.json(200, "GET", path)).toMatchObject({ state: "queued" });
  }
  expect((await follow(berth, accepted)).at(-1)).toMatchObject({ state: "ready" });
  await eventually(async () => ((await ready()) === 200 ? true : undefined));
});

test("a full disk of logs fails no call and is logged once; lines are written again when there is room", async () => {
  const said = (ok: boolean) => () =>
    berth.log.filter((line) => line["op"] === "runtime.logs" && line["ok"] === ok);
  const failed = said(false);
  {
    await using _full = await fill("logs");
    await eventually(async () => {
      await ask(running.tenant, { stderr: "x".repeat(4000) });
      return failed().length > 0 ? true : undefined;
    });
    expect(failed()).toMatchObject([{ code: "ENOSPC" }]);
    expect(await ready()).toBe(200);
    await expectAlive();
  }
  await ask(running.tenant, { stderr: "there is room again" });
  const path = `/v1/tenants/${running.tenant}/installations/${running.installationId}/logs?tail=20`;
  await eventually(async () => {
    const { items } = await berth.json<{ items: { text: string }[] }>(200, "GET", path);
    return items.some(({ text }) => text.includes("there is room again")) ? true : undefined;
  });
  expect(failed()).toHaveLength(1);
});

test("an export to a full disk of transfers is refused as `disk_full`, and leaves no partial file", async () => {
  const path = `/v1/exports/${echo.identifier}`;
  {
    const folder = join(site.dataFolder, "transfers");
    await using disk = await mountSmallDisk(folder, { mib: 1 });
    await using _full = await disk.fill();
    expect(await berth.json(507, "GET", path)).toMatchObject({ error: { code: "disk_full" } });
    expect(await readdir(folder)).toEqual(["ballast"]);
    expect(await ready()).toBe(200);
    await expectAlive();
  }
  // An export is as large as its image, a runtime image for one.
  if (length({ short: 0, soak: 1 }) === 0) return;
  const answer = await berth.request("GET", path);
  expect(answer.status).toBe(200);
  await answer.body?.cancel();
});

test("a Berth that starts with a full disk of sockets still adopts its plugins", async () => {
  const before = (await site.containers()).map(({ id }) => id).toSorted();
  await berth.kill("SIGKILL");
  {
    await using _full = await fill("run");
    berth = await site.start();
    await expectAlive();
  }
  expect((await site.containers()).map(({ id }) => id).toSorted()).toEqual(before);
});
