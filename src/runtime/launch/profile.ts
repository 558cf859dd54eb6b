/**
 * The Container contract as a pure function: what every plugin Container is allowed, made of a Pool and the
 * operator's settings. A manifest asked, the ceiling granted; nothing else has a say here.
 */
import { createHash, randomInt } from "node:crypto";
import type { ContainerSpec, LiveResources } from "../../domain/container.ts";
import { RuntimeId } from "../../domain/ids.ts";
import { containerMemory } from "../../domain/limits.ts";
import { proxyVariables } from "../../domain/proxy.ts";
import type { Pool } from "../../domain/runtime.ts";
import type { NetworkSpec } from "../../engine/engine.ts";
import { formatLabels, specHash } from "../../engine/labels.ts";
import { HANDED_OUT_KEY } from "../../transport/runner-key.ts";
import type { ProfileSettings } from "../settings.ts";

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

/** What the Engine can change of it while it runs. */
export function liveResources({ limits }: Pick<Pool, "limits">): LiveResources {
  return {
    memoryBytes: containerMemory(limits),
    cpuMillis: limits.cpuMillis,
    pidsMax: limits.pidsMax,
  };
}

/**
 * Changes with the Pool's image, the operator's settings and those limits that need another Container; the same for
 * every generation otherwise. What the Engine changes in a running one is left out, and the numbers of threads that
 * follow the CPUs: the label of a Container stands for its life, and one whose limits were changed while it ran is not
 * outdated for that. Those are compared with what the Engine says (`supervise/pool/desired-spec.ts`). The operator's authorities count,
 * though no field of the Container shows them: a process reads them once.
 */
export function profileHash(
  pool: Pool,
  options: { readonly instanceId: string; readonly settings: ProfileSettings },
): string {
  const { caBundle } = options.settings;
  const fixed = { ...pool, limits: { ...pool.limits, memoryBytes: 0, cpuMillis: 0, pidsMax: 0 } };
  const spec = { ...sandbox(fixed, options), name: "", labels: {}, mounts: [] };
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
      ...liveResources(pool),
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
    ...networkPart({ ...settings, ...settings.networkOf(pool.key) }, instanceId),
    capabilities: [],
    log: settings.engineLog,
  };
}

/** Those that reach what is listed have a bridge of their own, whose rules begin with nothing. */
export type BridgeKind = "open" | "list";

/** What names a Container's network, and the servers and hosts that go with it. */
function networkPart(
  { network, subnet, hosts, listDns }: ProfileSettings,
  instanceId: string,
): Pick<ContainerSpec, "network" | "dns" | "hosts"> {
  if (network === "none") return { network };
  const isListed = network === "list";
  return {
    network: networkSpec(instanceId, { kind: isListed ? "list" : "open", subnet }).name,
    ...(isListed && listDns !== undefined ? { dns: [listDns] } : {}),
    ...(Object.keys(hosts).length === 0 ? {} : { hosts }),
  };
}

/** Of the bridge that is there unless the operator chose a subnet. */
export function networkName(instanceId: string): string {
  return networkSpec(instanceId).name;
}

/** Begins the name of every bridge of this Berth of that kind, whichever subnet it has. */
export function bridgePrefix(instanceId: string, kind: BridgeKind): string {
  return `${kind === "open" ? "br" : "bl"}-${instanceId.slice(0, 8)}`;
}

/**
 * One bridge of each kind for all Pools: a network per plugin uses up the Engine's address pools at about thirty. A
 * chosen subnet names the network too, so that Runtimes move to another one after the other.
 */
export function networkSpec(
  instanceId: string,
  { kind = "open", subnet }: { readonly kind?: BridgeKind; readonly subnet?: string | undefined } = {},
): NetworkSpec {
  const chosen = subnet === undefined ? "" : digestOf(subnet).slice(0, 4);
  const suffixes = [kind === "open" ? "" : "list", chosen].filter((suffix) => suffix !== "");
  return {
    name: ["berth", instanceId, ...suffixes].join("-"),
    bridge: `${bridgePrefix(instanceId, kind)}${chosen === "" ? instanceId.slice(8, 12) : chosen}`,
    subnet: subnetOf(subnet, kind),
    labels: formatLabels({ instance: instanceId, kind: "network" }),
    betweenContainers: false,
  };
}

/** Half of it is for each kind. */
function subnetOf(subnet: string | undefined, kind: BridgeKind): string | undefined {
  if (subnet === undefined) return undefined;
  const [address = "", prefix = ""] = subnet.split("/");
  const half = Number(prefix) + 1;
  const first = address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
  const base = first - (first % 2 ** (32 - Number(prefix))) + (kind === "open" ? 0 : 2 ** (32 - half));
  return `${[24, 16, 8, 0].map((bits) => Math.floor(base / 2 ** bits) % 256).join(".")}/${half}`;
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

function command(pool: Pool, settings: ProfileSettings): readonly string[] {
  return [
    "/usr/local/bin/python3",
    // Without site packages, environment or byte code of its own: nothing that an image holds runs in the runner.
    ...["-I", "-S", "-B", `${FOLDER}/runner.py`],
    ...["--folder", FOLDER],
    ...["--key-file", `${FOLDER}/${HANDED_OUT_KEY}`],
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

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

export function newRuntimeId(): RuntimeId {
  return RuntimeId.parse(Array.from({ length: 10 }, () => ALPHABET[randomInt(ALPHABET.length)]).join(""));
}
