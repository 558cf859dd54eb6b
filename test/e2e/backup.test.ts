/** Backup and restore as docs/operate.md has them: a dump and a copied folder, beside the running original first. */
import { cp } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AcceptedInstall,
  accept,
  errorOf,
  eventually,
  follow,
  getInstallation,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  streamTool,
  toolTexts,
  upload,
} from "../harness/clients/client.ts";
import { type BerthProcess, makeDataFolder } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { packKeeper } from "../harness/samples/keeper-plugin.ts";
import { copyDatabase } from "../harness/servers/pg-dump.ts";

const MIB = 1_048_576;

/** Keeps a value in its storage, and reads it again. */
const KEEPER = `def handle(session):
    if "seconds" in session.parameters:
        session.text("begun")
        time.sleep(session.parameters["seconds"])
        session.text("done")
        return
    request = {"opt": session.parameters["opt"], "key": "k", "value": "616265"}
    session.text(json.dumps(keep(session, request)["data"]))
`;

describe("a dump and a copied folder", () => {
  let site: Site;
  let berth: BerthProcess;
  let keeper: PackedPlugin;
  let installed: AcceptedInstall;
  let copy: Awaited<ReturnType<typeof makeDataFolder>>;
  /** What the copy is started with. */
  let restored: Record<string, string>;
  /** Installed after the folder was copied, before the dump was made. */
  let late: PackedPlugin;

  const ask = (from: BerthProcess, opt: "set" | "get") =>
    toolTexts(from, {
      tenant: installed.tenant,
      pluginId: keeper.pluginId,
      tool: "echo",
      parameters: { opt },
    });

  beforeAll(async () => {
    site = await openSite({ database: "postgres" });
    copy = await makeDataFolder();
    berth = await site.start();
    keeper = await packKeeper({ code: KEEPER, storageBytes: MIB });
    installed = await install(berth, keeper);
    await ask(berth, "set");
    for (const part of ["storage", "admin-key"]) {
      await cp(join(site.dataFolder, part), join(copy.path, part), { recursive: true });
    }
    late = await packVersion("echo", "9.9.9");
    await upload(berth, late);
    await using dumps = await makeDataFolder();
    const databaseUrl = await copyDatabase(site.env["DATABASE_URL"] ?? "", dumps.path);
    restored = { BERTH_DATA: copy.path, DATABASE_URL: databaseUrl };
  });
  afterAll(async () => {
    await site[Symbol.asyncDispose]();
    await copy[Symbol.asyncDispose]();
  });

  test("are refused while the original runs, and do not disturb it", async () => {
    const before = await site.containers();
    const { code, errors } = await site.run(["serve"], restored);
    expect(code).toBe(1);
    expect(errors).toContain(site.dataFolder);
    expect(errors).toContain(copy.path);
    expect(errors).toContain("berth claim --yes");
    const shown = await site.run(["claim"], restored);
    expect(shown.code).toBe(1);
    expect(shown.output).toContain(before[0]?.name);
    expect((await site.containers()).map(({ id }) => id)).toEqual(before.map(({ id }) => id));
    expect(await ask(berth, "get")).toEqual([expect.stringContaining("616265")]);
  });

  test("replace the original after berth claim: the original exits, and the plugin answers with its stored data", async () => {
    const ended = berth.ended;
    const taken = await site.run(["claim", "--yes"], restored);
    expect(taken).toMatchObject({ code: 0 });
    expect(await ended).toMatchObject({ code: 1 });
    berth = await site.start(restored);
    expect(await ask(berth, "get")).toEqual([expect.stringContaining("616265")]);
  });

  test("may differ: an install of a package without its archive fails as package_not_found until it is uploaded again", async () => {
    const accepted = await accept(berth, late);
    const end = (await follow(berth, accepted)).at(-1);
    expect(end).toMatchObject({ state: "failed", cause: { code: "package_not_found" } });
    await install(berth, late, accepted.tenant);
  });

  test("have their images built again automatically on an engine without them", async () => {
    await berth.kill("SIGKILL");
    for (const { id } of await site.containers())
      await site.engine.removeContainer(id, AbortSignal.timeout(30_000));
    for (const { tags } of await site.images()) {
      for (const tag of tags) await site.engine.removeImage(tag, AbortSignal.timeout(30_000));
    }
    berth = await site.start({ ...restored, BERTH_STOP_SECONDS_MAX: "6" });
    await eventually(async () => ((await site.images()).length > 0 ? true : undefined));
    await eventually(async () =>
      (await getInstallation(berth, installed)).state === "ready" ? true : undefined,
    );
    expect(await ask(berth, "get")).toEqual([expect.stringContaining("616265")]);
  });

  test("can be stopped: short calls end, longer calls fail as shutting_down, and the exit code is 0", async () => {
    const begin = async (seconds: number) => {
      const call = { tenant: installed.tenant, pluginId: keeper.pluginId, tool: "echo" };
      const events = streamTool(berth, { ...call, parameters: { seconds } });
      expect((await events.next()).value).toMatchObject({ name: "item" });
      return events;
    };
    const [short, long] = await Promise.all([begin(1), begin(60)]);
    const ended = berth.kill("SIGTERM");
    expect((await Array.fromAsync(short)).at(-1)).toMatchObject({ name: "end" });
    expect(errorOf(await Array.fromAsync(long))).toMatchObject({ code: "shutting_down" });
    expect(await ended).toEqual({ code: 0, signal: null });
  });
});

test("an embedded Berth is restored from a copy of its folder made while it was stopped, and answers during its drain delay", async () => {
  await using site = await openSite({ database: "embedded" });
  await using copy = await makeDataFolder();
  const echo = await packPlugin("echo");
  const first = await site.start();
  await upload(first, echo);
  await first.kill("SIGTERM");
  await cp(site.dataFolder, copy.path, { recursive: true });
  const restored = { BERTH_DATA: copy.path };
  expect(await site.run(["claim", "--yes"], restored)).toMatchObject({ code: 0 });
  const second = await site.start({ ...restored, BERTH_DRAIN_DELAY_SECONDS: "600" });
  const { items } = await second.json<{ items: { identifier: string }[] }>(200, "GET", "/v1/packages");
  expect(items.map(({ identifier }) => identifier)).toEqual([echo.identifier]);

  // not ready, but there, until a second signal
  const ended = second.kill("SIGTERM");
  await eventually(async () => ((await second.request("GET", "/health/ready")).ok ? undefined : true));
  expect((await second.request("GET", "/health")).status).toBe(200);
  process.kill(second.pid, "SIGINT");
  expect(await ended).toEqual({ code: 1, signal: null });
});
