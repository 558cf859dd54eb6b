/** What the operator decides about builds. Every number has its unit in its name. */
import { NO_PROXIES, type Proxies } from "../../../domain/proxy.ts";
import type { CaBundle } from "../../../runtime/launch/ca-bundle.ts";

export interface BuildSettings {
  /** Folder on the host for the shared wheel cache; made when it is missing. */
  readonly cacheFolder: string;
  /** Folder on the host for what one build unpacks; each build has its own below it. */
  readonly workFolder: string;
  readonly limits: BuildLimits;
  /**
   * `uid:gid` of the one Container that writes on the host: Berth's own, so that Berth can remove what it wrote. Images
   * are made by Containers of root's.
   */
  readonly hostUser: string;
  /** Engine network of the one Container that downloads; all others of a build have none. */
  readonly network: string;
  readonly index: IndexSettings;
  /** Which runtime image may serve a package that asks for a Python which is not there. */
  readonly python: "nearest-newer" | "exact";
}

export interface BuildLimits {
  readonly memoryBytes: number;
  readonly cpuMillis: number;
  readonly pidsMax: number;
  readonly openFilesMax: number;
  /** Size of `/tmp` in a build Container. */
  readonly tmpBytes: number;
  /**
   * What one build may put on disk: no file of its dependencies is larger, nor are all of them together, and while they
   * are fetched no more than twice of it is written (they stand in the cache, then in the build's folder).
   */
  readonly diskBytes: number;
  /** From the first Container to the image, waits for another build of the same image left out. */
  readonly totalMs: number;
  /** How long an install may neither print, nor receive, nor write. */
  readonly noProgressMs: number;
}

/** Where wheels come from. URLs may hold `user:password@`; those reach the installer's environment and nothing else. */
export interface IndexSettings {
  /** Undefined: the installer's own default. */
  readonly url: string | undefined;
  readonly extraUrls: readonly string[];
  readonly proxies: Proxies;
  /** Undefined: the installer's own list of authorities. */
  readonly caBundle: CaBundle | undefined;
  /** How often one request is tried again, and how long one may be silent. */
  readonly httpRetries: number;
  readonly httpTimeoutMs: number;
}

const MB = 1024 * 1024;

export const BUILD_LIMITS_DEFAULTS: BuildLimits = Object.freeze({
  memoryBytes: 1024 * MB,
  cpuMillis: 2000,
  pidsMax: 256,
  openFilesMax: 4096,
  tmpBytes: 64 * MB,
  diskBytes: 4096 * MB,
  totalMs: 900_000,
  noProgressMs: 120_000,
});

export const INDEX_DEFAULTS: IndexSettings = Object.freeze({
  url: undefined,
  extraUrls: [],
  proxies: NO_PROXIES,
  caBundle: undefined,
  httpRetries: 3,
  httpTimeoutMs: 30_000,
});
