/**
 * The Engine contract: what Berth needs of whatever runs Containers. `docker/` is the real one, `memory/` serves
 * tests; `test/contract/engine.contract.ts` holds both to this page.
 *
 * Rules for every implementation: failures are Faults (`not_found`, `conflict`, `engine_unavailable` where nothing
 * answers, `engine_refused` with the Engine's own words otherwise); doing what is already done succeeds; a wait
 * that is aborted stops the work, and rejects with the signal's reason; nothing of the vendor's leaves the folder.
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
  /** The users of its Containers are others on the host (`userns-remap`). */
  readonly remapsUsers: boolean;
}

export interface EngineImage {
  /** `sha256:...` */
  readonly id: string;
  readonly tags: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  /** Of all its layers, also of those that other images share. */
  readonly bytes: number;
  readonly createdAt: Date;
  /** What it is made of, the lowest first. Known of an image that was found, not of those that were listed. */
  readonly layers?: readonly string[];
}

export interface EngineEvent {
  /** `kill`: somebody had a signal sent to it, Berth or another. */
  readonly action: "start" | "die" | "oom" | "kill" | "destroy";
  readonly containerId: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly at: Date;
  /** With `die`. */
  readonly exitCode?: number;
  /** With `kill`, its number, where the Engine tells. */
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
  /** Added to the Container's environment for this process only: in no image, no inspect answer of the Container. */
  readonly env: Readonly<Record<string, string>>;
  readonly workingDir: string;
  readonly user: string;
}

export interface CommitSpec {
  /** `repository:tag` of the new image. */
  readonly reference: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Replace what the build Container had. */
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
  /** False: Containers on it cannot reach one another. */
  readonly betweenContainers: boolean;
  /** Undefined: the Engine picks one of its own. */
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
   * By id: `conflict` where a Container uses it, running or not, a second reference names it, or another image stands
   * on it. Nothing is forced.
   */
  removeImage(reference: string, signal: AbortSignal): Promise<void>;
  /** Makes an image of a tar of its files, which may hold none; resolves with its id. `reference` is `repository:tag`. */
  importImage(
    spec: { readonly reference: string; readonly labels: Readonly<Record<string, string>> },
    tar: Readable,
    signal: AbortSignal,
  ): Promise<string>;

  /**
   * The image by its id as a tar stream: its layers and configuration without any name, so that loading it takes no
   * name from another image. The caller reads it to its end or destroys it.
   */
  saveImage(id: string, signal: AbortSignal): Promise<Readable>;
  /** Takes such a tar; resolves when all of it is there. What was in it the caller looks up by the id it expects. */
  loadImage(tar: Readable, signal: AbortSignal): Promise<void>;

  /**
   * Nothing of the image's own environment (but `PATH`), labels or entry point reaches it. Resolves with the id.
   * `conflict` when the name is taken: the caller inspects it and adopts or removes it. An abort leaves none behind:
   * what the Engine has begun to make is removed before this rejects.
   */
  createContainer(spec: ContainerSpec, signal: AbortSignal): Promise<string>;
  startContainer(id: string, signal: AbortSignal): Promise<void>;
  /**
   * Gives a Container these limits, running or not; its processes go on. Less memory than it uses now may be refused
   * (`engine_refused`): then nothing has changed.
   */
  updateContainer(id: string, resources: LiveResources, signal: AbortSignal): Promise<void>;
  /**
   * TERM, then KILL after `graceMs` (an Engine may round it up to whole seconds). Resolves when it no longer runs;
   * one that is gone no longer runs, here and for `killContainer`.
   */
  stopContainer(id: string, options: { graceMs: number }, signal: AbortSignal): Promise<void>;
  killContainer(id: string, signal: AbortSignal): Promise<void>;
  /** Removes it with its anonymous volumes, running or not. */
  removeContainer(id: string, signal: AbortSignal): Promise<void>;
  /** By id or name. */
  findContainer(idOrName: string, signal: AbortSignal): Promise<ContainerState | undefined>;
  /**
   * Running or not. Times other than `createdAt`, `exitCode` and `oomKilled` may be unknown (undefined, false) here:
   * find the one you need.
   */
  listContainers(labels: LabelFilter, signal: AbortSignal): Promise<readonly ContainerState[]>;

  /** Runs a process inside a running Container to its end; output arrives as it comes. An abort kills the Container. */
  exec(
    id: string,
    spec: ExecSpec,
    options: { onOutput: (chunk: Buffer, stream: "stdout" | "stderr") => void },
    signal: AbortSignal,
  ): Promise<{ readonly exitCode: number }>;
  /** Unpacks a tar stream below `path`; owner and mode are those in the tar. */
  putArchive(id: string, path: string, tar: Readable, signal: AbortSignal): Promise<void>;
  /** Reads one path as a tar stream, from its mounts too, running or not; `not_found` where there is no such path. */
  getArchive(id: string, path: string, signal: AbortSignal): Promise<Readable>;
  /**
   * Makes an image of the Container's file system and resolves with its id, confirmed by looking it up. An abort leaves
   * no image of that reference: one that the Engine was making is waited for and removed before this rejects.
   */
  commit(id: string, spec: CommitSpec, signal: AbortSignal): Promise<string>;

  /**
   * Events of Containers with these labels, from now on (`since` also replays). Ends only by the signal or by
   * throwing `engine_unavailable`; events may be missed across a reconnect, so a caller also lists.
   */
  events(labels: LabelFilter, options: { since?: Date }, signal: AbortSignal): AsyncIterable<EngineEvent>;
  /** Lines of both streams in order; with `follow`, until the Container ends. */
  logs(
    id: string,
    options: { follow: boolean; since?: Date; tail?: number },
    signal: AbortSignal,
  ): AsyncIterable<LogChunk>;

  /**
   * Sets a mark, a name with labels and nothing else, or finds it set; the labels answered are those of whoever was
   * first. Of several who ask at once one is first.
   */
  ensureMark(
    mark: { readonly name: string; readonly labels: Readonly<Record<string, string>> },
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>>;
  /** All with these labels. One whose labels the Engine has not read yet may be missing. */
  listMarks(labels: LabelFilter, signal: AbortSignal): Promise<readonly EngineMark[]>;
  /** One that is not there is removed already. */
  removeMark(name: string, signal: AbortSignal): Promise<void>;

  /** Resolves with its addresses. `conflict` where one of that name is another. */
  ensureNetwork(spec: NetworkSpec, signal: AbortSignal): Promise<NetworkAddresses>;
  /** The names of those that carry these labels. */
  listNetworks(labels: LabelFilter, signal: AbortSignal): Promise<readonly string[]>;
  removeNetwork(name: string, signal: AbortSignal): Promise<void>;
}
