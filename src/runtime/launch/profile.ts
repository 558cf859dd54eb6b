/**
 * Computes the specification of a plugin's container from its pool and the operator's settings: limits, user, mounts,
 * network. No I/O. The limits are the granted ones; a package cannot change anything else.
 */
import { createHash, randomInt } from "node:crypto";
import type { ContainerSpec, LiveResources } from "../../domain/container.ts";
import { RuntimeId } from "../../domain/ids.ts";
import { containerMemory } from "../../domain/limits.ts";
import { proxyVariables } from "../../domain/proxy.ts";
import type { Pool } from "../../domain/runtime.ts";
import { CA_VARIABLES } from "../../domain/variables.ts";
import type { NetworkSpec } from "../../engine/engine.ts";
import { formatLabels, specHash } from "../../engine/labels.ts";
import { HANDED_OUT_KEY } from "../../transport/runner-key.ts";
import type { ProfileSettings } from "../settings.ts";

const FOLDER = "/run/berth";
/** The only folder that a plugin can write to. */
const TMP = "/tmp";
const CA_FILE = `${FOLDER}/ca.pem`;
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

/** What a specification takes of its pool. */
export type ProfiledPool = Pick<
  Pool,
  "key" | "tenantId" | "pluginId" | "imageKey" | "imageRef" | "runner" | "limits" | "uidOffset" | "variables"
> &
  Partial<Pick<Pool, "filesVersion">>;

/** Throws `secret_unreadable` where a secret variable cannot be decrypted. */
export function containerSpec(
  pool: ProfiledPool,
  { identity, settings }: { readonly identity: RuntimeIdentity; readonly settings: ProfileSettings },
): ContainerSpec {
  const { instanceId, slot, generation, folder } = identity;
  return {
    ...sandbox(pool, { instanceId, settings, variables: settings.openVariables(pool) }),
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

/** User and group id of the pool's containers. */
export function userOf({ uidOffset }: Pick<Pool, "uidOffset">): number {
  return UID_BASE + uidOffset;
}

/** The limits that the engine can change in a running container. */
export function liveResources({ limits }: Pick<Pool, "limits">): LiveResources {
  return {
    memoryBytes: containerMemory(limits),
    cpuMillis: limits.cpuMillis,
    pidsMax: limits.pidsMax,
  };
}

/**
 * Identifies a specification: it changes with the pool's image, the operator's settings and those limits that need
 * another container, and is the same for every generation otherwise. It leaves out the limits that the engine can change
 * in a running container, and the numbers of threads that follow the CPUs: the label stays for the container's life, and
 * a changed limit must not make it outdated. Those limits are compared with what the engine says (`desired-spec.ts`).
 * The operator's certificate authorities count although no field of the container shows them, because a process reads
 * them only once, and so do the plugin's files. A secret variable counts by its version, so that the hash tells nothing
 * of it.
 */
export function profileHash(
  pool: ProfiledPool,
  options: { readonly instanceId: string; readonly settings: ProfileSettings },
): string {
  const { caBundle } = options.settings;
  const fixed = { ...pool, limits: { ...pool.limits, memoryBytes: 0, cpuMillis: 0, pidsMax: 0 } };
  const variables = Object.fromEntries(
    pool.variables.map((one) => [one.name, "value" in one ? one.value : one.version]),
  );
  const spec = { ...sandbox(fixed, { ...options, variables }), name: "", labels: {}, mounts: [] };
  const unseen = {
    ...(caBundle === undefined ? {} : { ca: caBundle.digest }),
    ...(pool.filesVersion === undefined ? {} : { files: pool.filesVersion }),
  };
  return specHash({ ...spec, env: { ...spec.env, ...unseen } });
}

/** Everything that is the same for all runtimes of the pool. */
function sandbox(
  pool: ProfiledPool,
  {
    instanceId,
    settings,
    variables,
  }: {
    readonly instanceId: string;
    readonly settings: ProfileSettings;
    readonly variables: Readonly<Record<string, string>>;
  },
): Omit<ContainerSpec, "name" | "labels" | "mounts"> {
  const user = userOf(pool);
  return {
    image: pool.imageRef,
    command: command(pool, settings),
    env: { ...environment(pool, settings), ...variables, ...FIXED },
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
        path: TMP,
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

/** Plugins with a list of destinations have a bridge of their own, which is closed except for the list. */
export type BridgeKind = "open" | "list";

/** The container's network, its DNS server and its extra hosts. */
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

/** The bridge of an instance whose operator chose no subnet. */
export function networkName(instanceId: string): string {
  return networkSpec(instanceId).name;
}

/** Prefix of the names of all bridges of this kind that this Berth makes, whichever subnet they have. */
export function bridgePrefix(instanceId: string, kind: BridgeKind): string {
  return `${kind === "open" ? "br" : "bl"}-${instanceId.slice(0, 8)}`;
}

/**
 * One bridge of each kind for all pools: with a network per plugin the engine's address pools are used up at about
 * thirty. A chosen subnet is part of the network's name, so that runtimes move to a new one one after the other.
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

/** Each kind gets half of it. */
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

function command(pool: ProfiledPool, settings: ProfileSettings): readonly string[] {
  return [
    "/usr/local/bin/python3",
    // Without site packages, environment and byte code: nothing from the image runs in the runner.
    ...["-I", "-S", "-B", `${FOLDER}/runner.py`],
    ...["--folder", FOLDER],
    ...["--key-file", `${FOLDER}/${HANDED_OUT_KEY}`],
    ...["--frame-bytes-max", String(settings.frameBytesMax)],
    ...["--grace-ms", String(settings.graceMs)],
    ...(runsOnCopy(pool, settings) ? ["--copy-to", `${TMP}/plugin`] : []),
    ...["--", "/opt/venv/bin/python", "-m", pool.runner.entrypoint],
  ];
}

function runsOnCopy(
  { pluginId }: Pick<Pool, "pluginId">,
  { writablePlugins }: Pick<ProfileSettings, "writablePlugins">,
): boolean {
  return writablePlugins.includes("*") || writablePlugins.includes(pluginId);
}

/** What the protocol needs, whatever else is set. */
const FIXED = { INSTALL_METHOD: "local", HOME: TMP } as const;

/** Only these variables, those that the runner adds where the image has none (`runner.py`), and the tenant's. */
function environment(pool: ProfiledPool, settings: ProfileSettings): Readonly<Record<string, string>> {
  const threads = String(Math.max(1, Math.ceil(pool.limits.cpuMillis / 1000)));
  return {
    PATH: "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin",
    LANG: "C.UTF-8",
    ...(settings.timeZone === undefined ? {} : { TZ: settings.timeZone }),
    PYTHONDONTWRITEBYTECODE: "1",
    PYTHONUNBUFFERED: "1",
    OMP_NUM_THREADS: threads,
    OPENBLAS_NUM_THREADS: threads,
    NUMEXPR_NUM_THREADS: threads,
    MAX_WORKER: String(settings.workersMax),
    ...certificates(settings),
    ...proxyVariables(settings.proxies),
    ...settings.extraEnv,
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
