/**
 * The engine contract: what Berth needs from the software that runs containers. `docker/` implements it; an engine in
 * memory serves tests. `test/contract/engine.contract.ts` runs against both.
 *
 * Rules for every implementation: failures are Faults (`not_found`, `conflict`, `engine_unavailable` if nothing answers,
 * otherwise `engine_refused` with the engine's own text). Doing what is already done succeeds. An abort stops the work
 * and rejects with the signal's reason. No type of the vendor leaves the folder.
 */
import type { Readable } from "node:stream";
import type { ContainerSpec, ContainerState, LiveResources } from "../domain/container.ts";

export interface EngineInfo {
  readonly name: string;
  readonly version: string;
  readonly apiVersion: string;
  /** `amd64` or `arm64`, as in manifests. */
  readonly arch: string;
  readonly cgroupVersion: "1" | "2";
  readonly cpus: number;
  readonly memoryBytes: number;
  /** Whether users in containers are mapped to other users of the host (`userns-remap`). */
  readonly remapsUsers: boolean;
}

export interface EngineImage {
  /** `sha256:...` */
  readonly id: string;
  readonly tags: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Size of all its layers, also of those that it shares with other images. */
  readonly bytes: number;
  readonly createdAt: Date;
  /** Digests, the lowest first. Only `findImage` answers them. */
  readonly layers?: readonly string[];
}

export interface EngineEvent {
  /** `kill`: somebody sent it a signal, Berth or another. */
  readonly action: "start" | "die" | "oom" | "kill" | "destroy";
  readonly containerId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly at: Date;
  /** With `die`. */
  readonly exitCode?: number;
  /** With `kill`: its number, if the engine says it. */
  readonly signal?: number;
}

export interface LogChunk {
  readonly stream: "stdout" | "stderr";
  readonly at: Date;
  /** One line without its end. */
  readonly text: string;
}

export interface ExecSpec {
  readonly command: readonly string[];
  /** Added to the container's environment for this process only: it appears in no image and no inspection. */
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly user: string;
}

export interface CommitSpec {
  /** `repository:tag` of the new image. */
  readonly reference: string;
  readonly labels: Readonly<Record<string, string>>;
  /** These and the next three replace the values of the build container. */
  readonly env: Readonly<Record<string, string>>;
  readonly command: readonly string[];
  readonly workingDir: string;
  readonly user: string;
}

export interface NetworkSpec {
  readonly name: string;
  /** Name of the host's bridge interface, at most 15 characters. */
  readonly bridge: string;
  readonly labels: Readonly<Record<string, string>>;
  /** False: containers on it cannot reach one another. */
  readonly betweenContainers: boolean;
  /** Undefined: the engine chooses one. */
  readonly subnet?: string | undefined;
}

export interface NetworkAddresses {
  readonly subnet: string;
  /** The host's own address on it. */
  readonly gateway: string;
}

export interface EngineMark {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Labels that must all match; an empty value matches any. */
export type LabelFilter = Readonly<Record<string, string>>;

export interface Engine extends AsyncDisposable {
  info(signal: AbortSignal): Promise<EngineInfo>;

  findImage(reference: string, signal: AbortSignal): Promise<EngineImage | undefined>;
  listImages(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineImage[]>;
  /**
   * By reference or id. By id it throws `conflict` if a container uses the image, running or not, a second reference
   * names it, or another image is built on it. Nothing is forced.
   */
  removeImage(reference: string, signal: AbortSignal): Promise<void>;
  /** Makes an image from a tar of its files, which may be empty; resolves with its id. `reference` is `repository:tag`. */
  importImage(
    spec: { readonly reference: string; readonly labels: Readonly<Record<string, string>> },
    tar: Readable,
    signal: AbortSignal,
  ): Promise<string>;

  /**
   * The image by its id as a tar stream: layers and configuration without a name, so that loading it takes no name from
   * another image. The caller reads the stream to its end or destroys it.
   */
  saveImage(id: string, signal: AbortSignal): Promise<Readable>;
  /** Loads such a tar; resolves when the image exists. The caller finds it by the id that it expects. */
  loadImage(tar: Readable, signal: AbortSignal): Promise<void>;

  /**
   * Creates a container and resolves with its id. It inherits nothing of the image's environment (except `PATH`), labels
   * or entry point. Throws `conflict` if the name is taken: the caller inspects that container and adopts or removes it.
   * An abort leaves no container: one that the engine has begun to make is removed before this rejects.
   */
  createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<string>;
  startContainer(id: string, signal: AbortSignal): Promise<void>;
  /**
   * Changes the limits of a container, running or not; its processes go on. The engine may refuse less memory than it
   * uses now (`engine_refused`): then nothing has changed.
   */
  updateContainer(id: string, resources: LiveResources, signal: AbortSignal): Promise<void>;
  /**
   * TERM, then KILL after `graceMs` (an engine may round it up to whole seconds). Resolves when the container no longer
   * runs. Like `killContainer`, it succeeds for one that does not exist.
   */
  stopContainer(id: string, options: { graceMs: number }, signal: AbortSignal): Promise<void>;
  killContainer(id: string, signal: AbortSignal): Promise<void>;
  /** Removes it with its anonymous volumes, running or not. */
  removeContainer(id: string, signal: AbortSignal): Promise<void>;
  /** By id or name; undefined if there is none. */
  findContainer(idOrName: string, signal: AbortSignal): Promise<ContainerState | undefined>;
  /**
   * Running or not. Times other than `createdAt`, `exitCode` and `oomKilled` may be unknown here (undefined, false):
   * use `findContainer` for them.
   */
  listContainers(labels: LabelFilter, signal: AbortSignal): Promise<readonly ContainerState[]>;

  /** Runs a process inside a running container to its end; output arrives as it comes. An abort kills the container. */
  exec(
    id: string,
    spec: ExecSpec,
    options: { onOutput: (chunk: Buffer, stream: "stdout" | "stderr") => void },
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number }>;
  /** Unpacks a tar stream below `path`; owner and mode are those in the tar. */
  putArchive(id: string, path: string, tar: Readable, signal: AbortSignal): Promise<void>;
  /** Reads one path as a tar stream, also from mounts, running or not. Throws `not_found` if there is no such path. */
  getArchive(id: string, path: string, signal: AbortSignal): Promise<Readable>;
  /**
   * Makes an image of the container's file system and resolves with its id when the image can be found. An abort leaves
   * no image of that reference: one that the engine is making is removed before this rejects.
   */
  commit(id: string, spec: CommitSpec, signal: AbortSignal): Promise<string>;

  /**
   * Events of containers with these labels, from now on (`since` also replays). Ends only by the signal or by throwing
   * `engine_unavailable`. Events may be lost between two streams, so a caller also lists.
   */
  events(labels: LabelFilter, options: { since?: Date }, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** Lines of both streams in order; with `follow`, until the container ends. */
  logs(
    id: string,
    options: { follow: boolean; since?: Date; tail?: number },
    signal: AbortSignal,
  ): AsyncIterable<LogChunk>;

  /**
   * Sets a mark (a name with labels, nothing else) unless it exists. Answers the labels of the existing mark; of several
   * concurrent calls exactly one sets it.
   */
  ensureMark(
    mark: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>>;
  /** Marks with these labels. A mark whose labels the engine has not loaded yet may be missing. */
  listMarks(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineMark[]>;
  /** Succeeds for a mark that does not exist. */
  removeMark(name: string, signal: AbortSignal): Promise<void>;

  /** Makes the network unless it exists, and resolves with its addresses. Throws `conflict` if one of that name differs. */
  ensureNetwork(spec: NetworkSpec, signal: AbortSignal): Promise<NetworkAddresses>;
  /** Names of networks with these labels. */
  listNetworks(labels: LabelFilter, signal: AbortSignal): Promise<readonly string[]>;
  /** Throws `conflict` while containers are on it. */
  removeNetwork(name: string, signal: AbortSignal): Promise<void>;
}
