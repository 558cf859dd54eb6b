/** The commands that name servers, as processes against a real HTTP server. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { BERTH_MAIN, inherited } from "../harness/rigs/berth.ts";
import { openTestDoor } from "../harness/rigs/test-door.ts";
import { ADMIN_KEY, TENANT } from "../harness/samples/callers.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-contexts-"));
});
afterEach(() => rm(folder, { recursive: true }));

async function run(command: readonly string[], { input = "", env = {} } = {}) {
  const child = spawn(process.execPath, [BERTH_MAIN, ...command], {
    cwd: folder,
    env: { ...inherited(), XDG_CONFIG_HOME: join(folder, "config"), BERTH_PORT: "1", ...env },
    stdio: ["pipe", "pipe", "pipe"],
  });
  child.stdin.end(input);
  const [output, errors, [code]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "exit"),
  ]);
  return { code, output, errors };
}

test("login keeps a key that the server accepts in a file that only the user can read", async () => {
  const { url } = await (await openTestDoor()).listen();
  const path = join(folder, "config/berth/contexts.json");
  expect(await run(["login", url], { input: "a wrong one\n" })).toEqual({
    code: 1,
    output: "",
    errors: `berth login: ${url} does not accept this key.\n`,
  });
  await expect(stat(path)).rejects.toThrow("ENOENT");

  const { host } = new URL(url);
  const output = `logged in to ${url} as context ${host}; the key is in ${path}\n`;
  expect(await run(["login", url, "--tenant", "t"], { input: `${ADMIN_KEY}\n` })).toEqual({
    code: 0,
    output,
    errors: "",
  });
  expect([(await stat(path)).mode & 0o777, (await stat(join(path, ".."))).mode & 0o777]).toEqual([
    0o600, 0o700,
  ]);
  expect(JSON.parse(await readFile(path, "utf8"))).toEqual({
    current: host,
    contexts: { [host]: { url, key: ADMIN_KEY, tenant: "t" } },
  });
});

test("a login against an address without a Berth says so", async () => {
  expect(await run(["login", "http://127.0.0.1:1"], { input: "k\n" })).toMatchObject({
    code: 1,
    errors: expect.stringContaining("No Berth answers at http://127.0.0.1:1; check the address."),
  });
  expect(await run(["login", "127.0.0.1:5002"], { input: "k\n" })).toMatchObject({
    code: 1,
    errors: expect.stringContaining("accepted: the address of a Berth, as http://127.0.0.1:5002"),
  });
});

test("contexts are listed without their keys, chosen and forgotten", async () => {
  const { url } = await (await openTestDoor()).listen();
  for (const name of ["one", "two"])
    expect(await run(["login", url, "--name", name], { input: ADMIN_KEY })).toMatchObject({ code: 0 });
  expect(await run(["context", "list"])).toMatchObject({ output: `  one  ${url}\n* two  ${url}\n` });
  expect(await run(["context", "use", "onee"])).toMatchObject({
    code: 1,
    errors: 'berth context: context is "onee"; accepted: one, two.\n',
  });
  expect(await run(["context", "use", "one"])).toMatchObject({ code: 0 });
  expect(await run(["context", "remove", "two"])).toMatchObject({ code: 0 });
  const list = await run(["context", "list", "--json"]);
  expect(JSON.parse(list.output)).toEqual([{ name: "one", url, tenant: null, current: true }]);
});

test("a file of contexts that is not one is named, and not overwritten", async () => {
  const path = join(folder, "config/berth/contexts.json");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, "{");
  for (const command of [
    ["context", "list"],
    ["context", "remove", "one"],
  ])
    expect(await run(command)).toMatchObject({
      code: 1,
      errors: expect.stringContaining(`${path} is not a list of contexts; remove it`),
    });
  expect(await readFile(path, "utf8")).toBe("{");
});

test("the plugins of the context's tenant are listed, and a tool that it does not have is refused", async () => {
  const { url } = await (await openTestDoor()).listen();
  await run(["login", url, "--tenant", TENANT], { input: ADMIN_KEY });
  const list = await run(["ps"]);
  expect(list.output).toMatch(
    /^PLUGIN {5,}VERSION {2}STATE {2,}ID\nberth\/echo {2}0\.0\.1 {4}ready {2,}\S+\n$/,
  );
  expect(JSON.parse((await run(["ps", "--json"])).output)).toMatchObject([{ plugin_id: "berth/echo" }]);
  expect(await run(["call", "say"])).toMatchObject({
    code: 1,
    errors: "berth call: The tenant has no tool say; it has none.\n",
  });
});
