/**
 * A plugin whose last words are bytes that no database takes, at its start and in the middle of calls: its task ends,
 * its crashes count, and a neighbour is installed and answered meanwhile.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  askTool,
  type ErrorJson,
  eventually,
  failInstall,
  getInstallation,
  install,
  packPlugin,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { makeRedisServer } from "../harness/servers/redis-server.ts";

/** NUL, a byte that is no UTF-8, and half of a surrogate pair as WTF-8 would write it. */
const LAST_WORDS = 'import os\nos.write(2, b"last\\0words \\xff \\xed\\xa0\\x80\\n")\n';

const SHAPES = [
  { shape: "all in one on the embedded database", open: openEmbedded },
  { shape: "an api and a worker on PostgreSQL", open: openSplit },
];

interface Shape {
  readonly site: Site;
  readonly door: BerthProcess;
}

async function openEmbedded(scope: Scope): Promise<Shape> {
  const site = scope.use(await openSite({ database: "embedded" }));
  return { site, door: await site.start() };
}

async function openSplit(scope: Scope): Promise<Shape> {
  const redis = scope.use(await makeRedisServer());
  await redis.start();
  const env = { REDIS_URL: `redis://127.0.0.1:${redis.port}` };
  const site = scope.use(await openSite({ database: "postgres", env }));
  const door = await site.start({}, "api");
  await site.start({}, "worker");
  return { site, door };
}

describe.each(SHAPES)("$shape", ({ open }) => {
  const scope = new Scope();
  let site: Site;
  let door: BerthProcess;
  beforeAll(async () => {
    ({ site, door } = await open(scope));
  });
  afterAll(() => scope.close());

  test("a plugin that prints unstorable bytes at its start fails its install, and another install succeeds", async () => {
    const words = `${LAST_WORDS}os._exit(3)\n`;
    const [failed, neighbour] = await Promise.all([
      packPlugin("crash-at-import", { "main.py": words }).then((plugin) => failInstall(door, plugin)),
      packPlugin("echo").then((plugin) => install(door, plugin)),
    ]);
    expect(failed.cause).toMatchObject({ code: "start_crashed", details: { exitCode: 3 } });
    expect(failed.cause.details?.["logs"]).toContainEqual(expect.stringContaining("last\ufffdwords"));
    expect(await getInstallation(door, failed)).toMatchObject({
      state: "failed",
      cause: { code: "start_crashed" },
    });
    const call = { tenant: neighbour.tenant, pluginId: "berth-tests/echo", tool: "echo" };
    expect(await toolTexts(door, { ...call, parameters: { text: "aye" } })).toEqual(["aye"]);
    const left = await site.containers();
    expect(left.filter(({ labels }) => labels["berth.tenant"] === failed.tenant)).toEqual([]);
  });

  test("a plugin that prints unstorable bytes when it dies during calls is reported as crash_loop", async () => {
    const plugin = await packPlugin("dies-mid-stream", {
      "main.py": (text) =>
        text.replace(
          "    os._exit(",
          `    os.write(2, b"last\\0words \\xff \\xed\\xa0\\x80\\n")\n    os._exit(`,
        ),
    });
    const installed = await install(door, plugin);
    const call = { tenant: installed.tenant, pluginId: plugin.pluginId, tool: "die", parameters: {} };
    const refusal = await eventually(async () => {
      const { error } = (await (await askTool(door, call)).json()) as { error: ErrorJson };
      return error.details?.["state"] === "crash_loop" ? error : undefined;
    });
    expect(refusal).toMatchObject({
      code: "plugin_not_ready",
      details: { cause: { details: { exitCode: 3 } } },
    });
    // The refusal may come from the pool's row, which is written before the installation's.
    const { cause } = await eventually(async () => {
      const shown = await getInstallation(door, installed);
      return shown.state === "crash_loop" ? shown : undefined;
    });
    expect(cause?.code).toBe("plugin_crashed");
    expect(cause?.details?.["logs"]).toContainEqual(expect.stringContaining("last\ufffdwords"));
  });
});
