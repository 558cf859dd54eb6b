/**
 * The Container contract as a pure function: what every plugin Container is allowed, made of a Pool and the
 * operator's settings. A manifest asked, the ceiling granted; nothing else has a say here.
 */
import type { ContainerSpec } from "../domain/container.ts";
import type { RuntimeId } from "../domain/ids.ts";
import { proxyVariables } from "../domain/proxy.ts";
import type { Pool } from "../domain/runtime.ts";
import type { NetworkSpec } from "../engine/engine.ts";
import { formatLabels, specHash } from "../engine/labels.ts";
import type { ProfileSettings } from "./settings.ts";

const FOLDER = "/run/berth";
const CA_FILE = `${FOLDER}/ca.pem`;
/** Libraries disagree on the name: these are what Python's, curl's, Node's, gRPC's and the AWS SDK's stacks read. */
const CA_VARIABLES = [
  "SSL_CERT_FILE",
  "REQUESTS_CA_BUNDLE",
  "CURL_CA_BUNDLE",
  "PIP_CERT",
  "NODE_EXTRA_CA_CERTS",
  "AWS_CA_BUNDLE",
  "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
  "HTTPLIB2_CA_CERTS",
] as const;
const UID_BASE = 100_000;
/** What interpreter, runner and page tables may need beside the plugin's own memory. */
const MEMORY_SPARE_BYTES = 16 * 1024 * 1024;
const BYTES_PER_INODE = 4096;

export interface RuntimeIdentity {
  readonly instanceId: string;
  readonly runtimeId: RuntimeId;
  readonly slot: number;
  readonly generation: number;
  /** Host folder that becomes `/run/berth`. */
  readonly folder: string;
}

export function containerName({
  instanceId,
  poolKey,
  slot,
  generation,
}: {
  readonly instanceId: string;
  readonly poolKey: string;
  readonly slot: number;
  readonly generation: number;
}): string {
  return `berth-${instanceId}-${poolKey}-${slot}-g${generation}`;
}

export function containerSpec(
  pool: Pool,
  { identity, settings }: { readonly identity: RuntimeIdentity; readonly settings: ProfileSettings },
): ContainerSpec {
  const { instanceId, slot, generation, folder } = identity;
  return {
    ...sandbox(pool, { instanceId, settings }),
    name: containerName({ instanceId, poolKey: pool.key, slot, generation }),
    mounts: [{ hostPath: folder, path: FOLDER, readOnly: true }],
    labels: formatLabels({
      instance: instanceId,
      kind: "runtime",
      tenant: pool.tenantId,
      pool: pool.key,
      runtime: identity.runtimeId,
      imageKey: pool.imageKey,
      specHash: profileHash(pool, { instanceId, settings }),
      generation,
    }),
  };
}

/**
 * Changes with the Pool's limits, image and the operator's settings; the same for every generation otherwise. The
 * operator's authorities count, though no field of the Container shows them: a process reads them once.
 */
export function profileHash(
  pool: Pool,
  options: { readonly instanceId: string; readonly settings: ProfileSettings },
): string {
  const { caBundle } = options.settings;
  const spec = { ...sandbox(pool, options), name: "", labels: {}, mounts: [] };
  return specHash(caBundle === undefined ? spec : { ...spec, env: { ...spec.env, ca: caBundle.digest } });
}

/** Everything that does not tell one Runtime of the Pool from another. */
function sandbox(
  pool: Pool,
  { instanceId, settings }: { readonly instanceId: string; readonly settings: ProfileSettings },
): Omit<ContainerSpec, "name" | "labels" | "mounts"> {
  const user = UID_BASE + pool.uidOffset;
  return {
    image: pool.imageRef,
    command: command(pool, settings),
    env: environment(pool, settings),
    workingDir: "/plugin",
    user: `${user}:${user}`,
    resources: {
      memoryBytes: pool.limits.memoryBytes + pool.limits.storageBytes + MEMORY_SPARE_BYTES,
      cpuMillis: pool.limits.cpuMillis,
      pidsMax: pool.limits.pidsMax,
      openFilesMax: settings.openFilesMax,
      shmBytes: settings.shmBytes,
      cgroupParent: settings.cgroupParent,
    },
    tmpfs: [
      {
        path: "/tmp",
        bytes: pool.limits.storageBytes,
        inodes: Math.max(1, Math.floor(pool.limits.storageBytes / BYTES_PER_INODE)),
        exec: false,
      },
    ],
    readOnlyRoot: true,
    network: settings.network === "none" ? "none" : networkName(instanceId),
    capabilities: [],
    log: settings.engineLog,
  };
}

export function networkName(instanceId: string): string {
  return `berth-${instanceId}`;
}

/** One bridge for all Pools: a network per plugin uses up the Engine's address pools at about thirty. */
export function networkSpec(instanceId: string): NetworkSpec {
  return {
    name: networkName(instanceId),
    bridge: `br-${instanceId.slice(0, 12)}`,
    labels: formatLabels({ instance: instanceId, kind: "network" }),
    betweenContainers: false,
  };
}

function command(pool: Pool, settings: ProfileSettings): readonly string[] {
  return [
    "/usr/local/bin/python3",
    // Without site packages, environment or byte code of its own: nothing that an image holds runs in the runner.
    ...["-I", "-S", "-B", `${FOLDER}/runner.py`],
    ...["--folder", FOLDER],
    ...["--frame-bytes-max", String(settings.frameBytesMax)],
    ...["--grace-ms", String(settings.graceMs)],
    ...["--", "/opt/venv/bin/python", "-m", pool.runner.entrypoint],
  ];
}

/** Built from this list alone; the operator's own variables may change everything but what the protocol stands on. */
function environment(pool: Pool, settings: ProfileSettings): Readonly<Record<string, string>> {
  const threads = String(Math.max(1, Math.ceil(pool.limits.cpuMillis / 1000)));
  return {
    PATH: "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin",
    LANG: "C.UTF-8",
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONUNBUFFERED: "1",
    OMP_NUM_THREADS: threads,
    OPENBLAS_NUM_THREADS: threads,
    NUMEXPR_NUM_THREADS: threads,
    MAX_WORKER: String(settings.workersMax),
    ...certificates(settings),
    ...proxyVariables(settings.proxies),
    ...settings.extraEnv,
    INSTALL_METHOD: "local",
    HOME: "/tmp",
  };
}

function certificates({ caBundle }: ProfileSettings): Readonly<Record<string, string>> {
  if (caBundle === undefined) return {};
  return Object.fromEntries(CA_VARIABLES.map((name) => [name, CA_FILE]));
}
