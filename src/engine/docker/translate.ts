/** Translates our specifications into the engine's: labels, environment, limits, containers. */
import type { ContainerCreateOptions, HostConfig } from "dockerode";
import type { ContainerSpec, ContainerTmpfs, LiveResources } from "../../domain/container.ts";
import type { LabelFilter } from "../engine.ts";

/** What a container would inherit from its image unless it is removed. */
export interface Inherited {
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/**
 * `cpuMillisMax`: the CPUs of the machine, because the engine refuses more. The command becomes the entry point: with an
 * empty entry point beside a command the image's own would come back.
 */
export function translateSpec(
  spec: ContainerSpec,
  inherited: Inherited,
  { cpuMillisMax }: { cpuMillisMax: number },
): ContainerCreateOptions {
  return {
    Image: spec.image,
    Entrypoint: [...spec.command],
    Cmd: [],
    Env: replacingEnv(spec.env, inherited.env),
    Labels: replacingLabels(spec.labels, inherited.labels),
    WorkingDir: spec.workingDir,
    User: spec.user,
    StopSignal: "SIGTERM",
    Healthcheck: { Test: ["NONE"] },
    Tty: false,
    OpenStdin: false,
    HostConfig: hostConfig(spec, cpuMillisMax),
  };
}

function hostConfig(spec: ContainerSpec, cpuMillisMax: number): HostConfig {
  const { resources } = spec;
  return {
    Init: true,
    Privileged: false,
    CapDrop: ["ALL"],
    CapAdd: [...spec.capabilities],
    // The engine's default seccomp profile applies as long as none is named here.
    SecurityOpt: ["no-new-privileges:true"],
    ReadonlyRootfs: spec.readOnlyRoot,
    NetworkMode: spec.network,
    ...(spec.dns === undefined ? {} : { Dns: [...spec.dns] }),
    ...(spec.hosts === undefined
      ? {}
      : { ExtraHosts: Object.entries(spec.hosts).map(([name, address]) => `${name}:${address}`) }),
    // An engine that maps users would refuse the host's network and grant no capability over it.
    ...(spec.network === "host" ? { UsernsMode: "host" } : {}),
    IpcMode: "private",
    ...translateLimits(resources, { cpuMillisMax }),
    ShmSize: resources.shmBytes,
    ...(resources.cgroupParent === undefined ? {} : { CgroupParent: resources.cgroupParent }),
    Ulimits: [
      { Name: "nofile", Soft: resources.openFilesMax, Hard: resources.openFilesMax },
      { Name: "core", Soft: 0, Hard: 0 },
    ],
    Tmpfs: Object.fromEntries(spec.tmpfs.map((tmpfs) => [tmpfs.path, tmpfsOptions(tmpfs)])),
    // Unlike `Binds`, this refuses a missing host path instead of making an empty folder there.
    Mounts: spec.mounts.map((mount) => ({
      Type: "bind" as const,
      Source: mount.hostPath,
      Target: mount.path,
      ReadOnly: mount.readOnly,
      BindOptions: { Propagation: "rprivate" as const },
    })),
    // `local` keeps bytes as they are (json-file turns a character cut at 16 KB into replacement marks). With one
    // file alone, rotation would throw everything away.
    LogConfig: {
      Type: "local",
      Config: {
        "max-size": String(spec.log.bytesMax),
        "max-file": String(Math.max(3, spec.log.files)),
        compress: "false",
      },
    },
    RestartPolicy: { Name: "no" },
    AutoRemove: false,
  };
}

/** All limits, even if only one changes: some engines reset those that are not named. */
export function translateLimits(
  { memoryBytes, cpuMillis, pidsMax }: LiveResources,
  { cpuMillisMax }: { cpuMillisMax: number },
) {
  return {
    PidsLimit: pidsMax,
    Memory: memoryBytes,
    // Memory and swap together; equal to Memory means no swap.
    MemorySwap: memoryBytes,
    NanoCpus: Math.min(cpuMillis, cpuMillisMax) * 1_000_000,
  } satisfies HostConfig;
}

function tmpfsOptions({ bytes, inodes, exec }: ContainerTmpfs): string {
  return `rw,nosuid,nodev,${exec ? "exec" : "noexec"},size=${bytes},nr_inodes=${inodes},mode=1777`;
}

/** `KEY=value` for all of `env`, and a bare `KEY`, which unsets it, for other variables that would be inherited. */
export function replacingEnv(env: Readonly<Record<string, string>>, inherited: readonly string[]): string[] {
  const unset = inherited
    .map((entry) => entry.split("=", 1)[0] ?? "")
    .filter((key) => key !== "" && key !== "PATH" && !Object.hasOwn(env, key));
  return [...Object.entries(env).map(([key, value]) => `${key}=${value}`), ...unset];
}

/** Labels cannot be removed, only emptied; `parseLabelMap` leaves empty ones out. */
export function replacingLabels(
  labels: Readonly<Record<string, string>>,
  inherited: Readonly<Record<string, string>>,
): Record<string, string> {
  return { ...Object.fromEntries(Object.keys(inherited).map((key) => [key, ""])), ...labels };
}

export function parseLabelMap(
  labels: Readonly<Record<string, string>> | null | undefined,
): Record<string, string> {
  return Object.fromEntries(Object.entries(labels ?? {}).filter(([, value]) => value !== ""));
}

export function labelQuery(labels: LabelFilter): string[] {
  return Object.entries(labels).map(([key, value]) => (value === "" ? key : `${key}=${value}`));
}

export function matches(labels: Readonly<Record<string, string>>, filter: LabelFilter): boolean {
  return Object.entries(filter).every(([key, value]) =>
    value === "" ? labels[key] !== undefined : labels[key] === value,
  );
}
