/** Packages in a bucket: what a user sees when it is set, when the data folder's copies are gone, and when it is away. */
import { existsSync } from "node:fs";
import { readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
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
import { S3_CREDENTIALS, type S3Server, startS3Server } from "../harness/servers/s3-server.ts";

let site: Site;
let server: S3Server;
let bucket: string;
let env: Readonly<Record<string, string>>;
let berth: BerthProcess;
let echo: PackedPlugin;
let running: AcceptedInstall;

beforeAll(async () => {
  [site, server, echo] = await Promise.all([openSite(), startS3Server(), packPlugin("echo")]);
  bucket = await server.createBucket();
  const secretFile = join(site.dataFolder, "s3-secret");
  await writeFile(secretFile, `${S3_CREDENTIALS.secretAccessKey}\n`);
  env = {
    BERTH_S3_ENDPOINT: server.endpoint,
    BERTH_S3_BUCKET: bucket,
    BERTH_S3_PREFIX: "berth",
    BERTH_S3_ACCESS_KEY_ID: S3_CREDENTIALS.accessKeyId,
    BERTH_S3_SECRET_ACCESS_KEY_FILE: secretFile,
  };
});
afterAll(async () => {
  await site?.[Symbol.asyncDispose]();
  await server?.[Symbol.asyncDispose]();
});

const ask = (tenant: string, { pluginId } = echo) =>
  toolTexts(berth, { tenant, pluginId, tool: "echo", parameters: { text: "aye" } });

const objectOf = ({ identifier }: PackedPlugin) =>
  server.fileOf(bucket, `berth/plugin_packages/${identifier}`);

/** What may be deleted at any time. */
const forgetFetched = () => rm(join(site.dataFolder, "packages-s3"), { recursive: true });

test("a package that was uploaded before a bucket was set is copied there and can be installed", async () => {
  berth = await site.start();
  await upload(berth, echo);
  await berth.kill("SIGTERM");

  berth = await site.start(env);
  const copied = () => berth.log.find((line) => line["op"] === "packages.copy" && line["ok"] !== undefined);
  expect(await eventually(async () => copied())).toMatchObject({ ok: true, copied: 1, there: 0, failed: 0 });
  expect((await readFile(objectOf(echo))).equals(echo.bytes)).toBe(true);
  running = await install(berth, echo);
  expect(await ask(running.tenant)).toEqual(["aye"]);
  expect(await berth.json(200, "GET", "/health/ready")).toMatchObject({ parts: { packages: { ok: true } } });
});

test("an upload is stored in the bucket, and a second tenant can install it after the data folder loses its copy", async () => {
  const plugin = await packVersion("echo", "2.0.0");
  const first = await install(berth, plugin);
  expect(await ask(first.tenant, plugin)).toEqual(["aye"]);
  expect((await readFile(objectOf(plugin))).equals(plugin.bytes)).toBe(true);
  expect(existsSync(join(site.dataFolder, "storage/plugin_packages", plugin.identifier))).toBe(false);

  await berth.kill("SIGTERM");
  await forgetFetched();
  berth = await site.start(env);
  expect(await ask((await install(berth, plugin)).tenant, plugin)).toEqual(["aye"]);
});

test("while the bucket is unreachable, calls are answered, uploads are refused, and installs wait until it is back", async () => {
  const later = await packVersion("echo", "3.0.0");
  await rm(join(site.dataFolder, "storage/plugin_packages"), { recursive: true });
  await forgetFetched();
  await server.kill();
  const refused = await berth.request("POST", "/v1/packages", { body: later.bytes });
  expect([refused.status, await refused.json()]).toMatchObject([
    503,
    {
      error: {
        code: "package_store_unavailable",
        message: "The package store cannot be reached; retry later.",
      },
    },
  ]);
  const known = await berth.request("GET", `/v1/packages/${encodeURIComponent(later.identifier)}`);
  expect(known.status).toBe(404);
  expect(await berth.json(503, "GET", "/health/ready")).toMatchObject({
    parts: { packages: { ok: false, code: "package_store_unavailable" }, database: { ok: true } },
  });

  const accepted = await accept(berth, echo);
  const retried = async () =>
    berth.log.find((line) => line["op"] === "task.install" && line["task_id"] === accepted.taskId);
  expect(await eventually(retried)).toMatchObject({ ending: "retry", code: "package_store_unavailable" });
  expect(await ask(running.tenant)).toEqual(["aye"]);

  await server.start();
  const events = await follow(berth, accepted);
  expect(events.at(-1)).toMatchObject({ state: "ready" });
  expect(
    events.some(({ type, cause }) => type === "retry" && cause?.code === "package_store_unavailable"),
  ).toBe(true);
  expect(await ask(accepted.tenant)).toEqual(["aye"]);
  await upload(berth, later);
});

test("a wrong secret fails the start; the error names bucket, endpoint and cause, and does not show the secret", async () => {
  await berth.kill("SIGTERM");
  const { BERTH_S3_SECRET_ACCESS_KEY_FILE: _, ...rest } = env;
  const ended = await site.run(["serve"], { ...rest, BERTH_S3_SECRET_ACCESS_KEY: "hunter2-is-wrong" });
  const said = ended.output + ended.errors;
  expect(ended.code).toBe(1);
  expect(said).toContain(
    `The bucket ${bucket} at ${server.endpoint} cannot be used: the secret key does not match`,
  );
  expect(said).not.toContain("hunter2-is-wrong");
});
