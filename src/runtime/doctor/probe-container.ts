/** Runs the probe in a container with the profile of plugins, in place of the runner. */
import { randomBytes } from "node:crypto";
import { chmod, copyFile, mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { networkInterfaces } from "node:os";
import { join } from "node:path";
import type { ContainerSpec } from "../../domain/container.ts";
import { RuntimeId } from "../../domain/ids.ts";
import type { Engine } from "../../engine/engine.ts";
import { formatLabelFilter, formatLabels } from "../../engine/labels.ts";
import { containerSpec, networkSpec, type ProfiledPool } from "../launch/profile.ts";
import type { ProfileSettings } from "../settings.ts";
import type { ProbeEnd } from "./judge.ts";

export interface ProbeDeps {
  readonly engine: Engine;
  /** Absolute, and the same path for the engine. */
  readonly dataFolder: string;
  /** `runtime-images/python/probe.py`. */
  readonly probeFile: string;
  readonly instanceId: string;
  readonly profile: ProfileSettings;
  /** The port of this Berth, whether it runs or not. */
  readonly port: number;
}

const MIB = 1_048_576;
const SECONDS_MAX = 60;
/** For making and removing the container. */
const SPARE_MS = 60_000;
/** The process that made an older one was killed. */
const LEFTOVER_AGE_MS = 2 * (SECONDS_MAX * 1000 + SPARE_MS);
const CONNECT_SECONDS = 0.5;
const HOST_ADDRESSES_MAX = 8;
const PREFIX = "probe-";

/** Small limits, so that reaching them costs the machine little. */
export function probePool(imageRef: string): ProfiledPool {
  return {
    key: "probe",
    tenantId: undefined,
    pluginId: "probe",
    imageKey: "probe",
    imageRef,
    runner: { entrypoint: "probe" },
    limits: {
      memoryBytes: 48 * MIB,
      storageBytes: 8 * MIB,
      cpuMillis: 200,
      pidsMax: 32,
      concurrencyMax: 1,
      timeoutMs: SECONDS_MAX * 1000,
      replicasMin: 1,
      replicasMax: 1,
    },
    variables: [],
    // Pools begin at 1.
    uidOffset: 0,
  };
}

/** Throws what the engine refused. Removes everything it made, and what an earlier probe that was killed left. */
export async function runProbe(deps: ProbeDeps, pool: ProfiledPool, signal: AbortSignal) {
  const { engine, dataFolder, probeFile, instanceId, profile } = deps;
  const within = AbortSignal.any([signal, AbortSignal.timeout(SECONDS_MAX * 1000 + SPARE_MS)]);
  await removeLeftovers(engine, within);
  if (profile.network === "bridge")
    await engine.ensureNetwork(networkSpec(instanceId, { subnet: profile.subnet }), within);
  const folder = await mkdtemp(join(dataFolder, PREFIX));
  try {
    await chmod(folder, 0o755);
    await copyFile(probeFile, join(folder, "probe.py"));
    await chmod(join(folder, "probe.py"), 0o644);
    await using listener = await listen();
    const spec = probeSpec(deps, pool, { folder, listenerPort: listener.port });
    return { spec, end: await runToEnd(engine, spec, within) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function probeSpec(
  { instanceId, profile, port }: ProbeDeps,
  pool: ProfiledPool,
  { folder, listenerPort }: { readonly folder: string; readonly listenerPort: number },
): ContainerSpec {
  const runtimeId = RuntimeId.parse("probeprobe");
  const identity = { instanceId, runtimeId, slot: 0, generation: 1, folder };
  const spec = containerSpec(pool, { identity, settings: profile });
  const [tmp] = spec.tmpfs;
  const asked = {
    memoryBytes: spec.resources.memoryBytes,
    pidsMax: spec.resources.pidsMax,
    openFilesMax: spec.resources.openFilesMax,
    tmp: { bytes: tmp?.bytes ?? 0, inodes: tmp?.inodes ?? 0 },
    cpuSeconds: 1,
    secondsMax: SECONDS_MAX,
    targets: targets(listenerPort, port),
  };
  return {
    ...spec,
    name: `berth-${instanceId}-probe-${randomBytes(4).toString("hex")}`,
    labels: formatLabels({ instance: instanceId, kind: "probe" }),
    workingDir: "/",
    command: ["/usr/local/bin/python3", "-I", "-S", "-B", "/run/berth/probe.py", JSON.stringify(asked)],
  };
}

/** Addresses of services that listen on all addresses of the host, and a cloud's metadata service. */
function targets(listenerPort: number, berthPort: number) {
  const addresses = Object.values(networkInterfaces())
    .flatMap((all) => all ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address)
    .slice(0, HOST_ADDRESSES_MAX);
  const seconds = CONNECT_SECONDS;
  return [
    ...["gateway", ...addresses].flatMap((host) => [
      { host, port: listenerPort, what: "a service that listens on all addresses", seconds },
      ...(berthPort === 0 ? [] : [{ host, port: berthPort, what: "Berth's own port", seconds }]),
    ]),
    { host: "169.254.169.254", port: 80, what: "the cloud's metadata", seconds },
  ];
}

async function listen(): Promise<AsyncDisposable & { readonly port: number }> {
  const server = createServer((socket) => socket.destroy());
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, "0.0.0.0", resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

async function runToEnd(engine: Engine, spec: ContainerSpec, signal: AbortSignal): Promise<ProbeEnd> {
  try {
    const id = await engine.createContainer(spec, signal);
    await engine.startContainer(id, signal);
    const lines: string[] = [];
    for await (const { text } of engine.logs(id, { follow: true }, signal)) lines.push(text);
    const state = await engine.findContainer(id, signal);
    return { lines, oomKilled: state?.oomKilled === true };
  } finally {
    // By name: a create whose answer was lost has made a container too.
    await engine.removeContainer(spec.name, AbortSignal.timeout(SPARE_MS));
  }
}

async function removeLeftovers(engine: Engine, signal: AbortSignal): Promise<void> {
  const oldest = Date.now() - LEFTOVER_AGE_MS;
  const left = await engine.listContainers(formatLabelFilter({ kind: "probe" }), signal);
  for (const { id, createdAt } of left)
    if (createdAt.getTime() < oldest) await engine.removeContainer(id, signal);
}
