/**
 * A Docker Engine for one test file: everything made through it carries one random label and is gone when it is
 * disposed. Its image needs no registry: it is the machine's own static busybox.
 */
import { randomBytes } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Readable } from "node:stream";
import { pack } from "tar-stream";
import { z } from "zod";
import type { ContainerSpec } from "../../../src/domain/container.ts";
import { DockerClient } from "../../../src/engine/docker/client.ts";
import {
  createDockerEngine,
  DOCKER_ENGINE_SETTINGS,
  type DockerEngineSettings,
} from "../../../src/engine/docker/docker-engine.ts";
import { readNdjson } from "../../../src/engine/docker/framing.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { silentLog } from "../../../src/observe/log.ts";
import { systemClock } from "../../../src/util/clock.ts";

const SOCKET = process.env["BERTH_TEST_ENGINE_SOCKET"] ?? "/var/run/docker.sock";
const BUSYBOX = process.env["BERTH_TEST_BUSYBOX"] ?? "/bin/busybox";
const MIB = 1 << 20;

const APPLETS = (
  "sh echo cat sleep ls mkdir dd env id ping printf seq stat head tail touch true false yes wc grep mount " +
  "umount rm df ps nc ifconfig ip awk test chmod sync setsid usleep hostname tr kill uname"
).split(" ");

/** Long enough for a loaded machine: a test that waits this long has failed. */
export function within(timeoutMs = 60_000): AbortSignal {
  return AbortSignal.timeout(timeoutMs);
}

export interface TestEngine extends AsyncDisposable {
  readonly engine: Engine;
  /** For a look at what the contract does not show. */
  readonly client: DockerClient;
  readonly socketPath: string;
  /** On everything made here. */
  readonly labels: Readonly<Record<string, string>>;
  /** A name that nobody else has. */
  name(hint: string): string;
  /** A tiny image with a shell: its entry point, environment and labels must not reach a container. */
  readonly image: string;
  /** A small limited container that sleeps. */
  spec(changes?: Partial<ContainerSpec>): ContainerSpec;
  /** Makes and starts one, and resolves with its id. */
  run(changes?: Partial<ContainerSpec>): Promise<string>;
  /** Its exit code. */
  waitForEnd(id: string): Promise<number>;
  /** The standard output of a shell line in it; throws with its error output where it fails. */
  shell(id: string, line: string, options?: { user?: string; env?: Record<string, string> }): Promise<string>;
}

export async function openTestEngine(settings: Partial<DockerEngineSettings> = {}): Promise<TestEngine> {
  const id = randomBytes(5).toString("hex");
  const labels = { "berth.test": id };
  const all = { ...DOCKER_ENGINE_SETTINGS, ...settings };
  const engine = createDockerEngine({
    socketPath: SOCKET,
    log: silentLog,
    clock: systemClock,
    settings: all,
  });
  const client = new DockerClient({ socketPath: SOCKET, ...all });
  const image = `berth-test-${id}:busybox`;
  await importBusybox(client, image, id);
  let names = 0;
  const name = (hint: string) => `berth-test-${id}-${hint}-${++names}`;
  const spec = (changes: Partial<ContainerSpec> = {}) => ({
    ...aContainerSpec({ name: name("c"), image }),
    ...changes,
    labels: { ...labels, ...changes.labels },
  });
  const test: TestEngine = {
    engine,
    client,
    socketPath: SOCKET,
    labels,
    name,
    image,
    spec,
    run: async (changes) => {
      const made = await engine.createContainer(spec(changes), within());
      await engine.startContainer(made, within());
      return made;
    },
    waitForEnd: (container) => waitForEnd(client, container),
    shell: (container, line, options) => shell(engine, container, line, options ?? {}),
    [Symbol.asyncDispose]: async () => {
      await removeAll(engine, client, labels);
      await engine[Symbol.asyncDispose]();
      await client[Symbol.asyncDispose]();
    },
  };
  return test;
}

export function aContainerSpec(changes: Partial<ContainerSpec>): ContainerSpec {
  return {
    name: "a-container",
    image: "an-image:latest",
    labels: {},
    command: ["/bin/sleep", "600"],
    env: { PATH: "/bin" },
    workingDir: "/",
    user: "0:0",
    resources: {
      memoryBytes: 64 * MIB,
      cpuMillis: 1_000,
      pidsMax: 64,
      openFilesMax: 256,
      shmBytes: 16 * MIB,
      cgroupParent: undefined,
    },
    mounts: [],
    tmpfs: [],
    readOnlyRoot: false,
    network: "none",
    capabilities: [],
    log: { bytesMax: MIB, files: 3 },
    ...changes,
  };
}

async function shell(
  engine: Engine,
  id: string,
  line: string,
  { user = "0:0", env = {} }: { user?: string; env?: Record<string, string> },
): Promise<string> {
  const out = { stdout: "", stderr: "" };
  const onOutput = (chunk: Buffer, stream: "stdout" | "stderr") => {
    out[stream] += chunk.toString("utf8");
  };
  const spec = { command: ["/bin/sh", "-c", line], env, workingDir: "/", user };
  const { exitCode } = await engine.exec(id, spec, { onOutput }, within());
  if (exitCode !== 0) throw new Error(`${line}: exit ${exitCode}: ${out.stderr}`);
  return out.stdout.trim();
}

async function waitForEnd(client: DockerClient, id: string): Promise<number> {
  const path = `/containers/${id}/wait`;
  const { body } = await client.call({ method: "POST", path, timeoutMs: 60_000 }, within());
  return z.object({ StatusCode: z.number() }).parse(body).StatusCode;
}

async function importBusybox(client: DockerClient, reference: string, id: string): Promise<void> {
  const [repo = "", tag = ""] = reference.split(":");
  const tar = pack();
  for (const dir of ["bin", "etc", "proc", "sys", "dev", "run", "home", "data"]) {
    tar.entry({ name: `${dir}/`, type: "directory", mode: 0o755 });
  }
  tar.entry({ name: "tmp/", type: "directory", mode: 0o1777 });
  tar.entry({ name: "bin/busybox", mode: 0o755 }, await readFile(BUSYBOX));
  for (const applet of APPLETS) tar.entry({ name: `bin/${applet}`, type: "symlink", linkname: "busybox" });
  tar.finalize();
  // The import API takes a query field several times only as an array; one line of changes may hold many.
  const changes = `LABEL berth.test=${id} from.image=yes\nENV FROM_IMAGE=yes\nENTRYPOINT ["/bin/false"]`;
  const answer = await client.stream(
    {
      method: "POST",
      path: "/images/create",
      query: { fromSrc: "-", repo, tag, changes },
      tar: Readable.from(tar),
    },
    within(),
  );
  for await (const line of readNdjson(answer, { lineBytesMax: MIB })) {
    const failure = z.object({ errorDetail: z.object({ message: z.string() }) }).safeParse(line);
    if (failure.success) throw new Error(`the test image: ${failure.data.errorDetail.message}`);
  }
}

async function removeAll(
  engine: Engine,
  client: DockerClient,
  labels: Readonly<Record<string, string>>,
): Promise<void> {
  const containers = await engine.listContainers(labels, within());
  await Promise.all(containers.map(({ id }) => engine.removeContainer(id, within())));
  // An image goes only after those made of it.
  const images = [...(await engine.listImages(labels, within()))].sort((a, b) => +b.createdAt - +a.createdAt);
  for (const { id, tags } of images) {
    for (const reference of tags.length === 0 ? [id] : tags) await engine.removeImage(reference, within());
  }
  const filters = JSON.stringify({ label: Object.entries(labels).map(([key, value]) => `${key}=${value}`) });
  const { body } = await client.call({ method: "GET", path: "/networks", query: { filters } }, within());
  for (const { Name } of z.array(z.object({ Name: z.string() })).parse(body))
    await engine.removeNetwork(Name, within());
}
