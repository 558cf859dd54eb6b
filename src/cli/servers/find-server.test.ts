import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { writeContexts } from "./context-file.ts";
import { findServer, openServer, parseServerUrl, tenantOf } from "./find-server.ts";

let folder: string;
let env: Record<string, string>;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-servers-"));
  env = { XDG_CONFIG_HOME: folder, BERTH_DATA: join(folder, "data") };
});
afterEach(() => rm(folder, { recursive: true }));

const ONE = { url: "http://one", key: "1", tenant: "t1" };
const TWO = { url: "http://two", key: "2" };

test("the option counts before the environment, and that before the current context", async () => {
  await writeContexts(env, { current: "one", contexts: { one: ONE, two: TWO } });
  expect(await findServer(env, {})).toMatchObject(ONE);
  expect(await findServer({ ...env, BERTH_CONTEXT: "two" }, {})).toMatchObject(TWO);
  const named = { ...env, BERTH_CONTEXT: "one", BERTH_URL: "https://three/", BERTH_KEY: "3" };
  expect(await findServer(named, {})).toMatchObject({ url: "https://three", key: "3", tenant: undefined });
  expect(await findServer(named, { context: "two" })).toMatchObject(TWO);
});

test("the tenant is the first of option, environment and context", async () => {
  await writeContexts(env, { current: "one", contexts: { one: ONE } });
  expect(await findServer({ ...env, BERTH_TENANT: "t2" }, {})).toMatchObject({ tenant: "t2" });
  expect(await findServer({ ...env, BERTH_TENANT: "t2" }, { tenant: "t3" })).toMatchObject({ tenant: "t3" });
  const server = { ...TWO, tenant: undefined, origin: "context two" };
  expect(() => tenantOf(server)).toThrow(/^--tenant is missing; accepted: the id of a tenant/);
});

test("without a context the Berth with the same settings is called, where it has made a key", async () => {
  expect(await findServer(env, {})).toBeUndefined();
  await expect(openServer(env, {})).rejects.toThrow(/^No server is named: run berth login URL/);
  await mkdir(join(folder, "data"));
  await writeFile(join(folder, "data/admin-key"), "k\n");
  expect(await findServer({ ...env, BERTH_PORT: "7" }, {})).toMatchObject({
    url: "http://127.0.0.1:7",
    key: "k",
  });
});

test("what is wrong about a server is named with what is accepted", async () => {
  await writeContexts(env, { contexts: { staging: ONE, production: TWO } });
  await expect(findServer(env, { context: "producton" })).rejects.toThrow(
    'context is "producton"; accepted: production, staging.',
  );
  await expect(findServer({ ...env, BERTH_URL: "http://one" }, {})).rejects.toThrow(/^BERTH_KEY is missing/);
  for (const url of ["one:5002", "ftp://one", "http://a:b@one", "http://one/?a"])
    expect(() => parseServerUrl("URL", url)).toThrow(/^URL is .+; accepted: the address of a Berth/);
  expect(parseServerUrl("URL", "http://one/berth/")).toBe("http://one/berth");
});
