/** What a plugin finds when it looks around in its container: nothing of the host, of Berth or of its neighbours. */
import { access, mkdir, mkdtemp, readFile, readlink, rm, writeFile } from "node:fs/promises";
import { getPriority, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import { streamTool } from "../harness/clients/client.ts";
import { childNamed } from "../harness/processes/child-named.ts";
import {
  type Attacker,
  type HostileSite,
  openHostileSite,
  processesIn,
  report,
} from "../harness/rigs/hostile.ts";

/** The plugin looks for what all of these begin with. */
const secret = (number: number) => `PlantedSecret${number}`;
const NAMESPACES = ["ipc", "mnt", "net", "pid", "uts"];

const scope = new Scope();
let hostile: HostileSite;
let attacker: Attacker;
let neighbour: Attacker;
beforeAll(async () => {
  const folder = await mkdtemp(join(tmpdir(), "berth-secrets-"));
  scope.add(() => rm(folder, { recursive: true }));
  await writeFile(join(folder, "authority.key"), secret(1));
  hostile = scope.use(
    await openHostileSite({
      BERTH_ADMIN_KEY: `${secret(2)}-of-the-operator-of-this-berth`,
      BERTH_DIFY_KEY: `${secret(3)}-of-a-platform-that-is-not-there`,
      BERTH_DIFY_ADMIN_KEY: `${secret(4)}-of-its-operator`,
      BERTH_DIFY_INNER_KEY: `${secret(5)}-of-its-inner-api`,
      BERTH_DIFY_INNER_URL: "http://127.0.0.1:9",
      BERTH_MARKETPLACE_TOKEN: secret(6),
      BERTH_GITHUB_TOKEN: secret(7),
      BERTH_PACKAGE_INDEX_URL: `http://someone:${secret(8)}@127.0.0.1:9/simple`,
      BERTH_SECRET_KEYS: `k1:${secret(9).padEnd(43, "A")}=`,
      SOMETHING_OF_THE_HOST: secret(10),
    }),
  );
  const { dataFolder } = hostile.site;
  await writeFile(join(dataFolder, "planted"), secret(11));
  await mkdir(join(dataFolder, "storage/persistence"), { recursive: true });
  await writeFile(join(dataFolder, "storage/persistence/planted"), secret(12));
  attacker = await hostile.attacker();
  neighbour = await hostile.attacker();
});
afterAll(() => scope.close());

test("a plugin is not root, cannot become another user, and shares no namespace with the host or with a neighbour", async () => {
  const [mine, theirs] = [await look(attacker, "identity"), await look(neighbour, "identity")];
  for (const seen of [mine, theirs]) {
    expect(seen).toMatchObject({
      capabilities: { CapInh: 0, CapPrm: 0, CapEff: 0, CapBnd: 0, CapAmb: 0 },
      no_new_privileges: "1",
      seccomp: "2",
    });
    expect(seen["users"]).toEqual(seen["groups"]);
  }
  const users = [mine, theirs].flatMap((seen) => seen["users"] as number[]);
  expect(Math.min(...users)).toBeGreaterThanOrEqual(100_000);
  expect(new Set(users).size).toBe(2);
  for (const name of NAMESPACES) {
    const host = await readlink(`/proc/self/ns/${name}`);
    const seen = [mine, theirs].map((one) => (one["namespaces"] as Record<string, string>)[name]);
    expect(new Set([host, ...seen]).size, name).toBe(3);
  }
});

test("a plugin can write only to its scratch disk and to what its processes share", async () => {
  const { writable } = await look(attacker, "writable");
  const tables = ["/tmp/.cache", "/tmp/.cache/tiktoken"];
  expect(writable).toEqual(["/dev/mqueue", "/dev/shm", "/tmp", ...tables]);
});

test("the processes of a plugin have a lower priority than those of Berth", async () => {
  const plugins = await processesIn((await hostile.site.containers()).map(({ id }) => id));
  expect(plugins.length).toBeGreaterThanOrEqual(4);
  for (const pid of plugins) expect(getPriority(pid)).toBe(0);
  const redis = childNamed(hostile.berth.pid, "redis-server");
  for (const pid of [hostile.berth.pid, redis]) expect(getPriority(pid ?? Number.NaN)).toBe(-5);
  // A kernel that groups processes by session weighs the groups first. A session that the machine's first process began has none.
  const group = await readFile(`/proc/${hostile.berth.pid}/autogroup`, "utf8").catch(() => "");
  expect(group.trim()).toMatch(/^$|^\/autogroup-\d+ nice -5$/);
});

test("a plugin can read no secret of Berth, of the operator or of its neighbours", async () => {
  const { tenant, pluginId, tool, parameters } = neighbour.call("tell_session", { seconds: 60 });
  const call = { tenant, pluginId, tool, parameters: { ...parameters, password: secret(13) } };
  const open = streamTool(hostile.berth, call);
  await open.next();
  const { found } = await look(attacker, "secrets");
  await open.return(undefined);
  expect(found).toEqual(["/tmp/own", "environ"]);
});

test("a plugin sees only its own processes, sockets and shared memory, and can signal no other process", async () => {
  const { site, berth } = hostile;
  const containers = await site.containers();
  const redis = join(site.dataFolder, "redis/redis.sock");
  await access(redis);
  const parameters = {
    pids: [berth.pid, process.pid, ...(await processesIn(containers.map(({ id }) => id)))],
    sockets: ["/var/run/docker.sock", "/run/docker.sock", redis],
  };
  const { processes, ...seen } = await report(berth, attacker.call("neighbours", parameters));
  expect(seen).toEqual({ signalled: [], sockets: [], abstract: [], shared_memory: 0, shm: [] });
  // Its init, its runner, itself.
  expect(processes).toHaveLength(3);
});

const look = (by: Attacker, attack: string) => report(hostile.berth, by.call(attack));
