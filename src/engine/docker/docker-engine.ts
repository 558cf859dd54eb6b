/**
 * Implements the engine contract with the API of a Docker Engine, through dockerode. Access to its socket is root on the
 * machine, so nothing here takes a request from outside: a container is what a ContainerSpec can express, and no more.
 *
 * Operations run in lanes with a limit each, because many parallel starts slow an engine down for everybody. A stop that
 * waits for its grace period, or a build, takes no place from a look-up. Streams (events, logs) have no lane.
 */
import { z } from "zod";
import type { Log } from "../../observe/log.ts";
import type { Clock } from "../../util/clock.ts";
import { Semaphore } from "../../util/semaphore.ts";
import type { Engine, EngineInfo } from "../engine.ts";
import { DockerClient, parseAnswer } from "./client.ts";
import {
  createContainer,
  killContainer,
  removeContainer,
  startContainer,
  stopContainer,
  updateContainer,
} from "./containers.ts";
import { readEvents } from "./events.ts";
import { getArchive, putArchive, runExec } from "./exec.ts";
import { loadImage, saveImage } from "./image-archives.ts";
import { commitContainer, importImage, inspectImage, listImages, removeImage } from "./images.ts";
import { inspectContainer, listContainers } from "./inspect.ts";
import { readLogs } from "./logs.ts";
import { ensureMark, listMarks, removeMark } from "./marks.ts";
import { ensureNetwork, listNetworks, removeNetwork } from "./networks.ts";

export interface DockerEngineSettings {
  /** One call, from its request to the last byte of its answer. */
  readonly callTimeoutMs: number;
  readonly commitTimeoutMs: number;
  /** Unpacking one tar stream. */
  readonly archiveTimeoutMs: number;
  /** Between two polls if the engine has no way to wait. */
  readonly pollMs: number;
  readonly answerBytesMax: number;
  readonly frameBytesMax: number;
  readonly lineBytesMax: number;
  readonly rememberedEventsMax: number;
  /** Most operations at once in each lane. */
  readonly lanes: {
    readonly starts: number;
    readonly stops: number;
    readonly builds: number;
    readonly rest: number;
  };
}

export interface DockerEngineOptions {
  readonly socketPath: string;
  readonly log: Log;
  readonly clock: Clock;
  readonly settings: DockerEngineSettings;
}

export const DOCKER_ENGINE_SETTINGS: DockerEngineSettings = {
  callTimeoutMs: 30_000,
  commitTimeoutMs: 600_000,
  archiveTimeoutMs: 600_000,
  pollMs: 20,
  answerBytesMax: 64 << 20,
  frameBytesMax: 4 << 20,
  lineBytesMax: 256 << 10,
  rememberedEventsMax: 1_024,
  lanes: { starts: 4, stops: 8, builds: 2, rest: 8 },
};

const ARCHES: Readonly<Record<string, string>> = { x86_64: "amd64", aarch64: "arm64" };

const Info = z.object({
  Name: z.string(),
  ServerVersion: z.string(),
  Architecture: z.string(),
  CgroupVersion: z.enum(["1", "2"]),
  NCPU: z.number().int().positive(),
  MemTotal: z.number().int().positive(),
  SecurityOptions: z.array(z.string()).nullish(),
  Warnings: z.array(z.string()).nullish(),
});

/** Connects with the first call, so the engine need not run yet. */
export function createDockerEngine({ socketPath, log, clock, settings }: DockerEngineOptions): Engine {
  const client = new DockerClient({ socketPath, ...settings });
  const deps = { client, clock, log, ...settings };
  const { lineBytesMax, rememberedEventsMax: rememberedMax } = settings;
  const lanes = {
    starts: new Semaphore(settings.lanes.starts),
    stops: new Semaphore(settings.lanes.stops),
    builds: new Semaphore(settings.lanes.builds),
    rest: new Semaphore(settings.lanes.rest),
  };
  let known: EngineInfo | undefined;
  const info = async (signal: AbortSignal) => {
    known = await readInfo(client, log, { quiet: known !== undefined }, signal);
    return known;
  };
  const cpuMillisMax = async (signal: AbortSignal) => (known ?? (await info(signal))).cpus * 1_000;
  const rest = <T>(signal: AbortSignal, work: () => Promise<T>) => lanes.rest.run(work, signal);
  return {
    info: (signal) => rest(signal, () => info(signal)),
    findImage: (ref, signal) => rest(signal, async () => (await inspectImage(client, ref, signal))?.image),
    listImages: (labels, signal) => rest(signal, () => listImages(client, labels, signal)),
    removeImage: (ref, signal) => rest(signal, () => removeImage(client, ref, signal)),
    importImage: (spec, tar, signal) => rest(signal, () => importImage(client, { spec, tar }, signal)),
    saveImage: (id, signal) =>
      rest(signal, () => saveImage(client, { id, timeoutMs: settings.archiveTimeoutMs }, signal)),
    loadImage: (tar, signal) =>
      rest(signal, () => loadImage(client, { tar, timeoutMs: settings.archiveTimeoutMs }, signal)),
    createContainer: (spec, signal) =>
      lanes.starts.run(
        async () => createContainer(deps, { spec, cpuMillisMax: await cpuMillisMax(signal) }, signal),
        signal,
      ),
    startContainer: (id, signal) => lanes.starts.run(() => startContainer(deps, id, signal), signal),
    updateContainer: (id, resources, signal) =>
      rest(signal, () => updateContainer({ ...deps, cpuMillisMax }, { id, resources }, signal)),
    stopContainer: (id, { graceMs }, signal) =>
      lanes.stops.run(() => stopContainer(deps, { id, graceMs }, signal), signal),
    killContainer: (id, signal) => rest(signal, () => killContainer(deps, id, signal)),
    removeContainer: (id, signal) => lanes.stops.run(() => removeContainer(deps, id, signal), signal),
    findContainer: (id, signal) =>
      rest(signal, async () => (await inspectContainer(client, id, signal))?.state),
    listContainers: (labels, signal) => rest(signal, () => listContainers(client, labels, signal)),
    exec: (id, spec, { onOutput }, signal) =>
      lanes.builds.run(() => runExec(deps, { id, spec, onOutput }, signal), signal),
    putArchive: (id, path, tar, signal) =>
      rest(signal, () => putArchive(deps, { id, path, tar, timeoutMs: settings.archiveTimeoutMs }, signal)),
    getArchive: (id, path, signal) => rest(signal, () => getArchive(deps, { id, path }, signal)),
    commit: (id, spec, signal) =>
      lanes.builds.run(
        () => commitContainer(client, { id, spec, timeoutMs: settings.commitTimeoutMs }, signal),
        signal,
      ),
    events: (labels, options, signal) =>
      readEvents(client, { labels, ...options, lineBytesMax, rememberedMax }, signal),
    logs: (id, options, signal) => readLogs(client, { id, ...options }, settings, signal),
    ensureMark: (mark, signal) => rest(signal, () => ensureMark(client, mark, signal)),
    listMarks: (labels, signal) => rest(signal, () => listMarks(client, labels, signal)),
    removeMark: (name, signal) => rest(signal, () => removeMark(client, name, signal)),
    ensureNetwork: (spec, signal) => rest(signal, () => ensureNetwork(client, spec, signal)),
    listNetworks: (labels, signal) => rest(signal, () => listNetworks(client, labels, signal)),
    removeNetwork: (name, signal) => rest(signal, () => removeNetwork(client, name, signal)),
    [Symbol.asyncDispose]: () => client[Symbol.asyncDispose](),
  };
}

/** The first call logs what weakens the limits on this machine. */
async function readInfo(
  client: DockerClient,
  log: Log,
  { quiet }: { quiet: boolean },
  signal: AbortSignal,
): Promise<EngineInfo> {
  const { body } = await client.call({ method: "GET", path: "/info" }, signal);
  const found = parseAnswer(Info, body, "its information");
  const info = {
    name: found.Name,
    version: found.ServerVersion,
    apiVersion: await client.apiVersion(signal),
    arch: ARCHES[found.Architecture] ?? found.Architecture,
    cgroupVersion: found.CgroupVersion,
    cpus: found.NCPU,
    memoryBytes: found.MemTotal,
    remapsUsers: (found.SecurityOptions ?? []).some((option) => option.startsWith("name=userns")),
  };
  if (!quiet) {
    const seccomp = (found.SecurityOptions ?? []).some((option) => option.startsWith("name=seccomp"));
    log.info({ op: "engine.connect", ok: true, ...info });
    for (const warning of found.Warnings ?? []) log.warn({ op: "engine.connect", warning });
    if (!seccomp)
      log.warn({ op: "engine.connect", warning: "this Engine has no seccomp filter for Containers" });
  }
  return info;
}
