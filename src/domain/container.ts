/**
 * The specification of a container. Every field is required: a limit that is forgotten is a limit that nobody enforces.
 * The engine adapter translates this and nothing else, so no container can get more than is written here.
 */
export interface ContainerSpec {
  /**
   * `[a-zA-Z0-9][a-zA-Z0-9_.-]*`, at most 200 characters. Deterministic, so that a lost create reply is found again.
   */
  readonly name: string;
  /** Id or reference of a local image. */
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  /** The whole environment; nothing of the host's is added. */
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  /** `uid:gid`, numeric. */
  readonly user: string;
  readonly resources: ContainerResources;
  readonly mounts: readonly ContainerMount[];
  readonly tmpfs: readonly ContainerTmpfs[];
  readonly readOnlyRoot: boolean;
  /** Name of an engine network, `none`, or `host`. */
  readonly network: string;
  /** DNS servers; undefined leaves those of the engine. */
  readonly dns?: readonly string[];
  /** Extra host names and their IPv4 addresses. */
  readonly hosts?: Readonly<Record<string, string>>;
  /** Capabilities kept, all others are dropped: `[]` for plugins. */
  readonly capabilities: readonly string[];
  /** Bytes a log file may reach and how many are kept. */
  readonly log: { readonly bytesMax: number; readonly files: number };
}

/** Limits of one container, enforced by the kernel. */
export interface ContainerResources {
  /** Bytes; the kernel counts tmpfs pages here too. Swap is always off. */
  readonly memoryBytes: number;
  /** Thousandths of a CPU. */
  readonly cpuMillis: number;
  readonly pidsMax: number;
  readonly openFilesMax: number;
  /** Bytes of `/dev/shm`. */
  readonly shmBytes: number;
  /** Parent of the container's cgroup, or undefined for the engine's default. */
  readonly cgroupParent: string | undefined;
}

/** Limits that an engine can change on a running container. */
export type LiveResources = Pick<ContainerResources, "memoryBytes" | "cpuMillis" | "pidsMax">;

export interface ContainerMount {
  readonly hostPath: string;
  readonly path: string;
  readonly readOnly: boolean;
}

export interface ContainerTmpfs {
  readonly path: string;
  readonly bytes: number;
  readonly inodes: number;
  /** False mounts it noexec. It is always nosuid and nodev. */
  readonly exec: boolean;
}

export type ContainerPhase = "created" | "running" | "exited" | "dead";

/** What the engine reports about a container. */
export interface ContainerState {
  readonly id: string;
  readonly name: string;
  readonly image: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Set by `findContainer`, not by `listContainers`; 0 is no limit. */
  readonly resources?: LiveResources;
  /** IPv4 address on its network; undefined where it has none or does not run. */
  readonly address?: string | undefined;
  readonly phase: ContainerPhase;
  readonly createdAt: Date;
  readonly startedAt: Date | undefined;
  readonly finishedAt: Date | undefined;
  /** Set when the phase is `exited` or `dead`. */
  readonly exitCode: number | undefined;
  /** The kernel killed a process in it for memory. True also where PID 1 survived and exited with 0. */
  readonly oomKilled: boolean;
}
