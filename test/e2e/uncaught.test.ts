/** Exceptions that nobody catches: what they end, and what they do not. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AcceptedInstall,
  follow,
  install,
  packPlugin,
  type TaskJson,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { type SourceServer, silence, startSourceServer } from "../harness/servers/source-server.ts";

const PLANT = pathToFileURL(join(import.meta.dirname, "../fixtures/plant-faults.ts")).href;

let site: Site;
let berth: BerthProcess;
let echo: AcceptedInstall;
let marketplace: SourceServer;
const start = () =>
  site.start({
    NODE_OPTIONS: `--import=${PLANT}`,
    BERTH_EXCEPTIONS_PER_MINUTE_MAX: "5",
    BERTH_MARKETPLACE_URL: `${marketplace.url}/planted-fault`,
    BERTH_SOURCE_PRIVATE_NETWORKS: "127.0.0.1",
    BERTH_INSTALL_RETRIES_MAX: "1",
    BERTH_INSTALL_RETRY_SECONDS: "0.05",
  });
const plant = (fault: string) => berth.request("GET", "/v1/keys", { headers: { "x-planted-fault": fault } });
const exceptions = () => berth.log.filter(({ op }) => op === "process.exception");
const ask = () =>
  toolTexts(berth, {
    tenant: echo.tenant,
    pluginId: "berth-tests/echo",
    tool: "echo",
    parameters: { text: "aye" },
  });

beforeAll(async () => {
  marketplace = await startSourceServer();
  site = await openSite();
  berth = await start();
  echo = await install(berth, await packPlugin("echo"));
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  await marketplace?.[Symbol.asyncDispose]();
});

test("an uncaught exception ends its own request with 500, and no other request", async () => {
  const before = exceptions().length;
  const [hit, text] = await Promise.all([plant("exception"), ask()]);
  expect({ status: hit.status, body: await hit.json() }).toMatchObject({
    status: 500,
    body: { error: { code: "internal" } },
  });
  expect(text).toEqual(["aye"]);
  await expect
    .poll(() => exceptions().slice(before))
    .toEqual([expect.objectContaining({ unit: "request", path: "/v1/keys", verdict: "unit_ends" })]);
});

test("an uncaught exception ends its own task, and the next call is answered", async () => {
  marketplace.on("/planted-fault/api/v1/plugins/download", silence);
  const before = exceptions().length;
  const { tenant } = echo;
  const identifier = `berth-tests/other:1.0.0@${"0".repeat(64)}`;
  const { task } = await berth.json<{ task: TaskJson }>(202, "POST", `/v1/tenants/${tenant}/installations`, {
    body: { source: { type: "marketplace", identifier } },
  });
  const events = await follow(berth, { tenant, taskId: task.id });
  expect(events.at(-1)).toMatchObject({ type: "end", state: "failed", cause: { code: "internal" } });
  await expect
    .poll(() => exceptions()[before])
    .toMatchObject({ unit: "task", task_id: task.id, verdict: "unit_ends" });
  expect(await ask()).toEqual(["aye"]);
});

test("an uncaught exception in the database driver ends the process, and the next start adopts the running container", async () => {
  const [running] = await site.containers();
  const { ended } = berth;
  await plant("driver").catch(() => undefined);
  expect(await ended).toEqual({ code: 1, signal: null });
  expect(exceptions().at(-1)).toMatchObject({
    verdict: "process_ends",
    doubt: "it was thrown inside the database driver",
  });
  berth = await start();
  expect(await ask()).toEqual(["aye"]);
  expect((await site.containers()).map(({ id }) => id)).toEqual([running?.id]);
});

test("too many uncaught exceptions within a minute end the process", async () => {
  const { ended } = berth;
  for (let n = 0; n < 6; n += 1) await plant("exception").catch(() => undefined);
  expect((await ended).code).toBe(1);
  expect(exceptions().map(({ verdict }) => verdict)).toEqual([...Array(5).fill("unit_ends"), "process_ends"]);
});
