/**
 * `docker-compose.yml` and the `Dockerfile`, run by their own values: Berth in containers, without root, through install,
 * call, restart of every container, and call.
 */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { lstat, mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ContainerState } from "../../src/domain/container.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { networkName } from "../../src/runtime/launch/profile.ts";
import { Scope } from "../../src/util/scope.ts";
import {
  aTenant,
  eventually,
  install,
  packPlugin,
  type ToolCall,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthDoor } from "../harness/rigs/berth.ts";
import { removeInstance, testEngine } from "../harness/rigs/build.ts";
import { type ComposeProject, openComposeProject } from "../harness/rigs/compose.ts";
import { parseComposeFile } from "../harness/rigs/compose-file.ts";
import { buildBerth, ensureStandIns, PLANTED } from "../harness/rigs/stand-ins.ts";
import { within } from "../harness/rigs/test-engine.ts";

const run = promisify(execFile);
const IMAGE = `berth-test-berth:${randomBytes(4).toString("hex")}`;
const OURS = ["api", "worker"];
const SERVICES = [...OURS, "postgres", "redis"];

const scope = new Scope();
let base: string;
let engine: Engine;
let project: ComposeProject;
let berth: BerthDoor;
let call: ToolCall;

beforeAll(async () => {
  engine = scope.use(testEngine());
  const images = await ensureStandIns();
  base = images.node;
  scope.add(() => engine.removeImage(IMAGE, within()));
  await buildBerth({ image: IMAGE, base });
  project = scope.use(
    await openComposeProject({
      images: { ...images, berth: IMAGE },
      settings: { BERTH_LEASE_SECONDS: "2", BERTH_POLL_SECONDS: "0.3", BERTH_STOP_SECONDS_MAX: "2" },
    }),
  );
  await project.up();
  scope.add(removeWhatBerthMade);
  await Promise.all(OURS.map((service) => project.healthy(service)));
  berth = await project.door();
  const plugin = await packPlugin("echo");
  const { tenant } = await install(berth, plugin, aTenant());
  call = { tenant, pluginId: plugin.pluginId, tool: "echo", parameters: { text: "through the wall" } };
}, 1_200_000);
afterAll(() => scope.close(), 120_000);

async function removeWhatBerthMade(): Promise<void> {
  const instance = /"instance":"([^"]+)"/.exec(await project.logs("api"))?.[1];
  if (instance === undefined) return;
  // Berth first: it would start its plugins again.
  await Promise.all(OURS.map((service) => project.stop(service)));
  await removeInstance(engine, instance);
  await engine.removeNetwork(networkName(instance), within());
}

async function plugins(): Promise<readonly ContainerState[]> {
  const instance = /"instance":"([^"]+)"/.exec(await project.logs("api"))?.[1] ?? "";
  const labels = { "berth.instance": instance, "berth.kind": "runtime" };
  const found = await engine.listContainers(labels, within());
  const states = await Promise.all(found.map(({ id }) => engine.findContainer(id, within())));
  return states.filter((state) => state !== undefined);
}

/** Calls again until a call succeeds: while its process restarts, a door refuses connections. */
async function calledAgain(): Promise<readonly unknown[]> {
  return await eventually(() => toolTexts(berth, call).catch(() => undefined));
}

/** Files and folders below `folder`, with their owners. */
async function owners(folder: string): Promise<readonly { path: string; uid: number }[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return await Promise.all(
    entries.map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      return { path, uid: (await lstat(path)).uid };
    }),
  );
}

async function inImage(line: string): Promise<string> {
  const options = ["run", "--rm", "--network", "none", "--entrypoint", "/bin/sh", IMAGE, "-c", line];
  return (await run("docker", options)).stdout.trim();
}

test("a plugin installed through the published port answers", async () => {
  expect(await toolTexts(berth, call)).toEqual(["through the wall"]);
  expect(await plugins()).toMatchObject([{ phase: "running" }]);
});

test("neither api nor worker runs as root, and only the worker has the engine's socket", async () => {
  for (const service of OURS) {
    expect(await project.exec(service, "id", "-u")).toBe("1000");
    const { Pid } = (await project.inspect(service)).State;
    const status = await readFile(`/proc/${Pid}/status`, "utf8");
    expect(status).toMatch(/^Uid:\t1000\t1000\t1000\t1000$/m);
    expect(status).toMatch(/^CapEff:\t0+$/m);
    expect(status).toMatch(/^NoNewPrivs:\t1$/m);
  }
  const socket = "/var/run/docker.sock";
  const seesEngine = async (service: string) =>
    (await project.inspect(service)).Mounts.some(({ Source }) => Source === socket);
  expect(await Promise.all(SERVICES.map(seesEngine))).toEqual([false, true, false, false]);
  expect((await project.inspect("api")).HostConfig.GroupAdd ?? []).toEqual([]);
  await expect(project.exec("api", "ls", socket)).rejects.toThrow();
});

test("no secret appears in docker inspect, a log or a command line", async () => {
  const files = ["admin_key", "postgres_password", "redis_conf"];
  const secrets = await Promise.all(
    files.map(async (name) => (await project.secret(name)).split(" ").at(-1)),
  );
  for (const service of SERVICES) {
    const { Pid } = (await project.inspect(service)).State;
    const shown = [await project.inspectText(service), await project.logs(service)];
    shown.push(await readFile(`/proc/${Pid}/cmdline`, "utf8"));
    for (const secret of secrets) {
      expect(secret).toMatch(/^[0-9a-f]{48}$/);
      expect(shown.filter((text) => text.includes(secret ?? ""))).toEqual([]);
    }
  }
});

test("the database and the queue are reachable only from Berth's own network", async () => {
  const networks = Object.entries(project.file.services).map(([name, service]) => [name, service.networks]);
  expect(Object.fromEntries(networks)).toEqual({
    api: ["inside", "outside"],
    worker: ["inside", "outside"],
    postgres: ["inside"],
    redis: ["inside"],
  });
  expect(project.file.networks["inside"]).toEqual({ internal: true });
  expect(Object.values(project.file.services).flatMap(({ ports }) => ports)).toHaveLength(1);
});

test("every file that Berth and its builds write belongs to Berth's own user", async () => {
  const found = await owners(project.dataFolder);
  expect(found.length).toBeGreaterThan(5);
  expect(found.filter(({ uid }) => uid !== 1000)).toEqual([]);
});

test("the worker logs once that plugins have the same CPU weight as Berth, and how to change it on the host", async () => {
  const lines = (await project.logs("worker")).split("\n").filter((line) => line.includes("cgroup.weight"));
  expect(lines).toHaveLength(1);
  expect(lines[0]).toMatch(/Set it on the host: /);
});

test("Berth and its servers have ten times the CPU weight of a plugin", async () => {
  for (const service of ["api", "worker", "postgres", "redis"])
    expect((await project.inspect(service)).HostConfig.CpuShares, service).toBe(10_240);
});

test("api and worker exit with code 0 when they are stopped, and answer again when they are started", async () => {
  expect(await Promise.all(OURS.map((service) => project.stop(service)))).toEqual([0, 0]);
  await Promise.all(OURS.map((service) => project.start(service)));
  expect(await calledAgain()).toEqual(["through the wall"]);
});

test.for([...SERVICES.map((name) => ({ name, services: [name] })), { name: "all", services: SERVICES }])(
  "a restart of $name leaves the plugin's container running, and calls are answered again",
  async ({ services }) => {
    const [before] = await plugins();
    await project.restart(...services);
    expect(await calledAgain()).toEqual(["through the wall"]);
    await eventually(async () => ((await berth.request("GET", "/health/ready")).ok ? true : undefined));
    const after = await plugins();
    expect(after).toMatchObject([{ id: before?.id, startedAt: before?.startedAt, phase: "running" }]);
  },
);

test("a worker whose data folder has another path on the host refuses to start, and says why", async () => {
  const moved = "/data";
  const { exitCode, output } = await project.runToEnd("worker", (worker) => ({
    ...worker,
    environment: { ...worker.environment, BERTH_DATA: moved },
    volumes: worker.volumes.map((volume) =>
      volume.target === project.dataFolder ? { ...volume, target: moved } : volume,
    ),
  }));
  expect(exitCode).toBe(1);
  expect(output).toMatch(
    /^berth worker: BERTH_DATA is \/data, but the Docker Engine sees (no such|another) folder/m,
  );
});

test("a data folder owned by root is refused; the message names the user, the folder and the chown command", async () => {
  const folder = join(project.dataFolder, "../of-root");
  await mkdir(folder, { mode: 0o755 });
  const { exitCode, output } = await project.runToEnd("api", (api) => ({
    ...api,
    ports: [],
    environment: { ...api.environment, BERTH_DATA: folder },
    volumes: [{ type: "bind", source: folder, target: folder }],
  }));
  expect(exitCode).toBe(1);
  expect(output).toContain(`the user 1000 (group 1000) cannot write to ${folder} (EACCES)`);
  expect(output).toContain(`chown -R 1000:1000 ${folder}`);
});

test("the image contains no development package, no test and no secret of the build context", async () => {
  const found = (await inImage("cd /berth && find . -type f -o -type l && ls node_modules")).split("\n");
  expect(found).toContain("./src/main.ts");
  const { devDependencies } = JSON.parse(
    await readFile(join(import.meta.dirname, "../../package.json"), "utf8"),
  );
  expect(found.filter((name) => Object.hasOwn(devDependencies, name))).toEqual([]);
  const unwanted = [".npmrc", "ca.pem", ...PLANTED].map((path) => `./${path}`);
  const own = found.filter((path) => !path.startsWith("./node_modules/"));
  expect(own.filter((path) => unwanted.includes(path) || path.endsWith(".test.ts"))).toEqual([]);
  expect(await inImage("find /berth ! -user 0 -o -perm /022 ! -type l | head -3")).toBe("");
});

test("the image adds less than 100 MB to its base, and its labels name Berth", async () => {
  const inspect = async (image: string) => JSON.parse((await run("docker", ["inspect", image])).stdout)[0];
  const [made, from] = [await inspect(IMAGE), await inspect(base)];
  expect(made.Size - from.Size).toBeLessThan(100e6);
  expect(made.Config.User).toBe("1000:1000");
  expect(made.Config.Labels).toMatchObject({ "org.opencontainers.image.title": "Berth" });
});

test("a key in the compose file that the test harness does not know is an error", async () => {
  const text = await readFile(join(import.meta.dirname, "../../docker-compose.yml"), "utf8");
  const env = { BERTH_DATA: "/d", DOCKER_GID: "1" };
  expect(Object.keys(parseComposeFile(text, env).services)).toEqual(SERVICES);
  const more = text.replace("\n  redis:\n", "\n  redis:\n    privileged: true\n");
  expect(() => parseComposeFile(more, env)).toThrow(/privileged/);
  expect(() => parseComposeFile(text, {})).toThrow(/BERTH_DATA is not set: run scripts\/compose-setup first/);
});
