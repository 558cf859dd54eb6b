/**
 * Berth is killed at 50 recorded points of install, upgrade, uninstall and call. Whatever it was at, the next one goes
 * on with it; a bystander runs on in the same container; rows, images and containers agree.
 */
import { readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  accept,
  aTenant,
  eventually,
  follow,
  install,
  type PackedPlugin,
  packVersion,
  streamTool,
  type TaskJson,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { KILL_POINTS, type WritePoint } from "../harness/samples/kill-points.ts";
import { length } from "../harness/samples/lengths.ts";

const PLUGIN_ID = "berth-tests/echo";
/** Which points a short run takes: another number takes others. */
const SEED = 12;
const ROUNDS = Array.from({ length: length({ short: 1, soak: KILL_POINTS.install.length }) }, (_, n) => n);

/** All points of a part are taken once; where they are fewer than rounds, the later rounds take none. */
function pointOf<T>(points: readonly T[], round: number): T | undefined {
  return ROUNDS.length === 1 ? points[SEED % points.length] : points[round];
}

test("there are 50 kill points", () => {
  expect(Object.values(KILL_POINTS).flat()).toHaveLength(50);
});

describe("a Berth that is killed", () => {
  const scope = new Scope();
  const tenant = aTenant();
  /** From the start of the process, and from its first answer, to the bystander's first answer. */
  const secondsToWhole: { readonly point: string; readonly started: number; readonly listened: number }[] =
    [];
  let site: Site;
  let berth: BerthProcess;
  let file: string;
  let bystander: AcceptedInstall;
  let untouched: unknown;
  let installed: AcceptedInstall | undefined;
  beforeAll(async () => {
    site = scope.use(await openSite({ database: "postgres" }));
    file = join(site.dataFolder, "kill-point");
    berth = await start();
    bystander = await install(berth, await packVersion("echo", "0.1.0"));
    const found = await bystanderNow();
    expect(found).toMatchObject({ containers: [{ phase: "running" }], images: [expect.any(String)] });
    untouched = found;
  });
  afterAll(async () => {
    await scope.close();
    if (ROUNDS.length > 1) console.table(secondsToWhole);
  });

  const start = () =>
    site.start({
      KILL_POINT_FILE: file,
      NODE_OPTIONS: `--import=${join(import.meta.dirname, "../fixtures/kill-points.ts")}`,
    });
  const ask = (of: string) =>
    toolTexts(berth, { tenant: of, pluginId: PLUGIN_ID, tool: "echo", parameters: { text: "aye" } });

  async function bystanderNow() {
    const containers = (await site.containers()).filter(
      ({ labels }) => labels["berth.tenant"] === bystander.tenant,
    );
    const images = (await site.images()).filter(({ id }) => containers.some(({ image }) => image === id));
    return {
      containers: containers.map(({ id, phase }) => ({ id, phase })),
      images: images.map(({ id }) => id),
    };
  }

  /** Begins the task, which is killed at the point; the next Berth ends it. Without a point nobody is killed. */
  async function endAcrossKill(point: WritePoint | undefined, begin: () => Promise<string>): Promise<void> {
    if (point === undefined) return await expectDone(await begin());
    await writeFile(file, JSON.stringify(point));
    const accepted = await begin().catch(() => undefined);
    const ended = await (accepted === undefined ? berth.ended : isOver(accepted));
    expect(ended, `${point.when} ${point.write} #${point.nth}`).toMatchObject({ signal: "SIGKILL" });
    await rm(file);
    await startAgain(`${point.when} ${point.write} #${point.nth}`);
    await expectDone(accepted ?? (await begin()));
  }

  async function startAgain(point: string): Promise<void> {
    const began = performance.now();
    berth = await start();
    const listened = performance.now();
    expect(await ask(bystander.tenant)).toEqual(["aye"]);
    const seconds = (since: number) => Math.round((performance.now() - since) / 100) / 10;
    secondsToWhole.push({ point, started: seconds(began), listened: seconds(listened) });
    expect(await bystanderNow()).toEqual(untouched);
  }

  /** The end of the task, or of Berth. */
  async function isOver(taskId: string): Promise<unknown> {
    const end = (await follow(berth, { tenant, taskId }).catch(() => [])).at(-1);
    return end?.type === "end" ? end : await berth.ended;
  }

  async function expectDone(taskId: string): Promise<void> {
    expect((await follow(berth, { tenant, taskId })).at(-1)).toMatchObject({ type: "end", state: "ready" });
    await expectAgreement();
  }

  /** What the rows say, what the engine has, and what is in the folders are one. */
  async function expectAgreement(): Promise<void> {
    await eventually(async () => {
      const { rows, found } = await look();
      return JSON.stringify(rows) === JSON.stringify(found) ? true : undefined;
    }, 30_000).catch(async () => {
      const { rows, found } = await look();
      expect(found).toEqual(rows);
    });
  }

  async function look() {
    const column = async (sql: string) => (await site.rows(sql)).map(({ c }) => String(c)).toSorted();
    const run = await readdir(join(site.dataFolder, "run"));
    return {
      rows: {
        open: [],
        builds: [],
        containers: await column("SELECT container_id AS c FROM berth_runtimes WHERE state <> 'ended'"),
        images: await column(
          "SELECT image_ref AS c FROM berth_images WHERE state = 'ready' AND image_ref LIKE '%/plugin:%'",
        ),
        folders: await column("SELECT id AS c FROM berth_runtimes WHERE state <> 'ended'"),
      },
      found: {
        open: await column("SELECT id AS c FROM berth_tasks WHERE finished_at IS NULL"),
        builds: (await site.containers("build")).map(({ name }) => name),
        containers: (await site.containers())
          .map(({ id, phase }) => (phase === "running" ? id : `${id} ${phase}`))
          .toSorted(),
        images: (await site.images()).flatMap(({ tags }) => tags).toSorted(),
        folders: run.filter((name) => /^[a-z0-9]{10}$/.test(name)).toSorted(),
      },
    };
  }

  describe.each(ROUNDS)("in round %i", (round) => {
    let older: PackedPlugin;
    let newer: PackedPlugin;
    beforeAll(async () => {
      older = await packVersion("echo", `1.${round}.0`);
      newer = await packVersion("echo", `1.${round}.1`);
      await upload(berth, older);
      await upload(berth, newer);
    });

    test("during an install completes it after the next start", async () => {
      await endAcrossKill(pointOf(KILL_POINTS.install, round), async () => {
        installed = await accept(berth, older, tenant);
        return installed.taskId;
      });
      expect(await ask(tenant)).toEqual(["aye"]);
    });

    test("during a call lets the plugin answer the next call after the next start", async () => {
      const items = pointOf(KILL_POINTS.call, round);
      if (items === undefined) return;
      const parameters = { text: "slow", messages: 20, delay_ms: 100 };
      const call = streamTool(berth, { tenant, pluginId: PLUGIN_ID, tool: "echo", parameters });
      for (let n = 0; n < items; n += 1) expect(await call.next()).toMatchObject({ value: { name: "item" } });
      const next = call.next().catch((error: unknown) => error);
      await berth.kill("SIGKILL");
      expect(await next).toBeInstanceOf(Error);
      await startAgain(`call with ${items} items`);
      expect(await ask(tenant)).toEqual(["aye"]);
      await expectAgreement();
    });

    test("during an upgrade completes it after the next start", async () => {
      await endAcrossKill(pointOf(KILL_POINTS.upgrade, round), () =>
        change("POST", "/upgrade", { identifier: newer.identifier }),
      );
      expect(await ask(tenant)).toEqual(["aye"]);
    });

    test("during an uninstall completes it after the next start, and leaves nothing behind", async () => {
      await endAcrossKill(pointOf(KILL_POINTS.uninstall, round), () => change("DELETE", ""));
      // The task may have ended before the kill, and the container goes at the next start.
      const mine = async () =>
        (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant);
      await expect.poll(mine).toEqual([]);
      expect(await site.rows(`SELECT id FROM berth_installations WHERE tenant_id = '${tenant}'`)).toEqual([]);
    });
  });

  async function change(method: string, path: string, body?: object): Promise<string> {
    const at = `/v1/tenants/${tenant}/installations/${installed?.installationId}${path}`;
    const { task } = await berth.json<{ task: TaskJson }>(
      202,
      method,
      at,
      body === undefined ? {} : { body },
    );
    return task.id;
  }
});
