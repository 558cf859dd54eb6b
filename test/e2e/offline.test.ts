/** A package goes from a host that could fetch its dependencies to one that can reach nothing at all. */
import { execFileSync } from "node:child_process";
import { copyFile, open, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  aTenant,
  eventually,
  install,
  type PackedPlugin,
  packPlugin,
  toolRequest,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { type OfflineHost, openOfflineHost } from "../harness/rigs/offline-host.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { signed } from "../harness/samples/signing.ts";
import { makeRedisServer } from "../harness/servers/redis-server.ts";
import { startWheelIndex, type WheelIndex } from "../harness/servers/wheel-index.ts";
import { SIGNER } from "../support/test-key.ts";

const scope = new Scope();
let site: Site;
let berth: BerthProcess;
let index: WheelIndex;
let plugin: PackedPlugin;
let host: OfflineHost;
let file: string;

beforeAll(async () => {
  index = scope.use(
    await startWheelIndex([
      { name: "carried", version: "1.0", files: { "carried.py": 'WORD = "carried over"\n' } },
    ]),
  );
  site = scope.use(
    await openSite({
      database: "embedded",
      env: { BERTH_PACKAGE_INDEX_URL: index.url, no_proxy: new URL(index.url).hostname },
    }),
  );
  berth = await site.start();
  plugin = await signed(
    await packPlugin("echo", {
      "requirements.txt": "carried==1.0\n",
      "main.py": (text) =>
        text.replace("import sys\n", "import sys\n\nimport carried\n").replace('"hello"', "carried.WORD"),
    }),
  );
  file = join(site.dataFolder, "echo.berth.tar");
  host = scope.use(await openOfflineHost({ BERTH_SIGNATURE_POLICY: "require", BERTH_POLL_SECONDS: "0.3" }));
});
afterAll(() => scope.close());

const exportIt = (to: string) =>
  site.run(["export", plugin.identifier, "-o", to], { BERTH_PORT: new URL(berth.url).port });

const offlineImages = () =>
  execFileSync(
    "docker",
    ["-H", `unix://${host.engineSocket}`, "images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}"],
    {
      encoding: "utf8",
    },
  )
    .split("\n")
    .filter((line) => line.includes("/plugin ") || line.startsWith("<none>"));

test("an export of a package that has no image yet is refused and says to install it once", async () => {
  await berth.json(201, "POST", "/v1/packages", { body: plugin.bytes });
  const { code, errors } = await exportIt(file);
  expect([code, errors]).toEqual([1, expect.stringContaining("install it once")]);
  await expect(stat(file)).rejects.toMatchObject({ code: "ENOENT" });
});

test("an installed package is exported as one file", async () => {
  const installed = await install(berth, plugin);
  expect(await toolTexts(berth, { ...installed, pluginId: plugin.pluginId, tool: "echo" })).toEqual([
    "carried over",
  ]);
  const { code, errors, output } = await exportIt(file);
  expect([code, errors]).toEqual([0, ""]);
  expect(output).toContain(plugin.identifier);
  const names = execFileSync("tar", ["tf", file], { encoding: "utf8" }).trim().split("\n");
  expect(names).toEqual([
    "berth-export.json",
    "declaration.json",
    "signatures.json",
    "package.difypkg",
    "image.tar",
  ]);
});

describe("on a host with no route", () => {
  beforeAll(() => host.serve());

  test("an import is refused while its signer is not trusted, and leaves nothing behind", async () => {
    const { code, errors } = await host.run(["import", file]);
    expect([code, errors]).toEqual([1, expect.stringContaining("berth trust add")]);
    expect(offlineImages()).toEqual([]);
    const { items } = await host.json<{ items: unknown[] }>(200, "GET", "/v1/packages");
    expect(items).toEqual([]);
  });

  test("a changed, a truncated and a foreign file are refused, and leave nothing behind", async () => {
    const key = join(site.dataFolder, "signer.pem");
    await writeFile(key, SIGNER.publicKey);
    expect(await host.run(["trust", "add", key])).toMatchObject({ code: 0 });
    const { size } = await stat(file);
    const broken = join(site.dataFolder, "broken.tar");
    await copyFile(file, broken);
    await flip(broken, Math.floor(size * 0.7));
    const { code, errors } = await host.run(["import", broken]);
    expect([code, errors]).toEqual([
      1,
      expect.stringContaining("the digest of image.tar differs from the manifest"),
    ]);
    await writeFile(broken, (await readFile(file)).subarray(0, Math.floor(size / 2)));
    expect((await host.run(["import", broken])).errors).toContain("not a whole tar file");
    await writeFile(broken, plugin.bytes);
    expect((await host.run(["import", broken])).errors).toContain("This is not an export");
    expect(offlineImages()).toEqual([]);
  });

  test("the export is imported, installed and called with its signature required, and no packet leaves the host", async () => {
    const imported = await host.run(["import", file]);
    expect(imported).toMatchObject({ code: 0, errors: "" });
    expect(imported.output).toContain(plugin.identifier);

    const tenant = aTenant();
    const { task } = await host.json<{ task: { id: string } }>(
      202,
      "POST",
      `/v1/tenants/${tenant}/installations`,
      {
        identifier: plugin.identifier,
        verifySignature: true,
      },
    );
    const ended = await eventually(async () => {
      const found = await host.json<{ state: string; cause: unknown }>(
        200,
        "GET",
        `/v1/tenants/${tenant}/tasks/${task.id}`,
      );
      return ["ready", "failed", "cancelled"].includes(found.state) ? found : undefined;
    });
    expect(ended).toMatchObject({ state: "ready", cause: null });
    const call = toolRequest({ tenant, pluginId: plugin.pluginId, tool: "echo" });
    expect(JSON.stringify(await host.json(200, "POST", call.path, call.body))).toContain("carried over");

    expect(await host.network()).toEqual({ interfaces: ["lo"], routes: [], withoutRoute: 0 });
  });

  test("a second import of the same file changes nothing", async () => {
    const before = offlineImages();
    expect(before).toHaveLength(1);
    expect(await host.run(["import", file])).toMatchObject({ code: 0 });
    expect(offlineImages()).toEqual(before);
  });
});

async function flip(path: string, at: number): Promise<void> {
  await using handle = await open(path, "r+");
  const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, at);
  await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 0xff]), 0, 1, at);
}

test("in a split Berth, export and import work beside the worker, and the api refuses an export as engine_elsewhere", async () => {
  await using redis = await makeRedisServer();
  await redis.start();
  await using split = await openSite({
    database: "postgres",
    env: { REDIS_URL: `redis://127.0.0.1:${redis.port}` },
  });
  await using _worker = await split.start({}, "worker");
  await using api = await split.start({}, "api");
  const echo = await packPlugin("echo");
  await install(api, echo);
  const refused = await api.request("GET", `/v1/exports/${echo.identifier}`);
  expect([refused.status, await refused.json()]).toMatchObject([
    421,
    { error: { code: "engine_elsewhere" } },
  ]);
  const to = join(split.dataFolder, "echo.berth.tar");
  expect(await split.run(["export", echo.identifier, "--out", to])).toMatchObject({ code: 0, errors: "" });
  expect(await split.run(["import", to])).toMatchObject({ code: 0, errors: "" });
  const [row] = await split.rows("SELECT checksum FROM berth_imported_images");
  expect(echo.identifier).toContain(String(row?.["checksum"]));
});
