/** Started with the environment of dify-plugin-daemon, in the place of a Berth of the former layout. */
import { existsSync } from "node:fs";
import { mkdir, readdir, readFile, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import {
  type AcceptedInstall,
  eventually,
  install,
  type PackedPlugin,
  packPlugin,
  toolTexts,
  uninstall,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const KEY = "a-key-of-our-own";

let site: Site;
let berth: BerthProcess;
let echo: PackedPlugin;
let first: AcceptedInstall;
let root: string;

beforeAll(async () => {
  [site, echo] = await Promise.all([openSite({ database: "postgres" }), packPlugin("echo")]);
  berth = await site.start();
  first = await install(berth, echo);
  await berth.kill("SIGTERM");
  const { dataFolder } = site;
  root = join(dataFolder, "volume");
  const former = join(dataFolder, "packages", `${echo.identifier}.difypkg`);
  await mkdir(dirname(former), { recursive: true });
  await rename(join(dataFolder, "storage/plugin_packages", echo.identifier), former);
  await rm(join(dataFolder, "storage"), { recursive: true });
  berth = await site.start(daemonEnvironment());
});
afterAll(() => site?.[Symbol.asyncDispose]());

function daemonEnvironment(): Record<string, string> {
  const { username, password, hostname, port, pathname, searchParams } = new URL(
    site.env["DATABASE_URL"] ?? "",
  );
  return {
    DATABASE_URL: "",
    SERVER_KEY: KEY,
    SERVER_PORT: "1",
    PLATFORM: "local",
    DB_TYPE: "postgresql",
    DB_USERNAME: decodeURIComponent(username),
    DB_PASSWORD: decodeURIComponent(password),
    DB_HOST: searchParams.get("host") ?? hostname,
    DB_PORT: port || "5432",
    DB_DATABASE: pathname.slice(1),
    DB_SSL_MODE: "disable",
    PLUGIN_STORAGE_LOCAL_ROOT: root,
    PLUGIN_INSTALLED_PATH: "running",
    FORCE_VERIFYING_SIGNATURE: "false",
    PLUGIN_REMOTE_INSTALLING_ENABLED: "false",
    PLUGIN_REMOTE_INSTALLING_PORT: "5003",
    UV_PATH: "/usr/bin/uv",
  };
}

const ask = ({ tenant }: AcceptedInstall) =>
  toolTexts(berth, { tenant, pluginId: echo.pluginId, tool: "echo", parameters: { text: "aye" } });
const copy = () => join(root, "running", echo.identifier);
const said = () =>
  berth.log.filter((line) => line["op"] === "config.read").map((line) => String(line["msg"]));

test("a plugin that was installed before answers, and its archive is stored in the daemon's layout", async () => {
  expect(await ask(first)).toEqual(["aye"]);
  expect((await readFile(join(root, "plugin_packages", echo.identifier))).equals(echo.bytes)).toBe(true);
  expect(existsSync(join(site.dataFolder, "packages"))).toBe(false);
  const [icon] = await eventually(async () =>
    existsSync(copy()) ? readdir(join(root, "assets")) : undefined,
  );
  expect((await readFile(copy())).equals(echo.bytes)).toBe(true);
  expect(icon).toMatch(/^[0-9a-f]{64}\.svg$/);
});

test("the daemon's key opens the daemon's routes, and the log names what is ignored", async () => {
  const answer = await fetch(`${berth.url}/plugin/${first.tenant}/management/list?page=1&page_size=10`, {
    headers: { "x-api-key": KEY },
  });
  expect(await answer.json()).toMatchObject({ code: 0, data: { list: [{ plugin_id: echo.pluginId }] } });
  expect(said()).toContain("UV_PATH is ignored: the runtime image has its own uv");
  expect(said()).toContain("SERVER_PORT is ignored: BERTH_PORT is set and overrides it");
});

test("the copy of an installed package is removed when the last tenant uninstalls it", async () => {
  const second = await install(berth, echo);
  await uninstall(berth, first);
  expect(await ask(second)).toEqual(["aye"]);
  expect(existsSync(copy())).toBe(true);
  await uninstall(berth, second);
  await eventually(async () => (existsSync(copy()) ? undefined : true));
  expect(existsSync(join(root, "plugin_packages", echo.identifier))).toBe(true);
});
