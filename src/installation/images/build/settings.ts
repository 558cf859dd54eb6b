/** The operator's settings of builds. Every number has its unit in its name. */
import type { PluginVariants } from "../../../domain/plugin-variants.ts";
import { NO_PROXIES, type Proxies } from "../../../domain/proxy.ts";
import type { CaBundle } from "../../../runtime/launch/ca-bundle.ts";

export interface BuildSettings {
  /** Folder on the host for the shared wheel cache; created when it is missing. */
  readonly cacheFolder: string;
  /** Folder on the host for unpacked wheels; each build has its own folder below it. */
  readonly workFolder: string;
  readonly limits: BuildLimits;
  /**
   * `uid:gid` of the one container that writes on the host: those of Berth, so that Berth can remove its files.
   * Containers that become images run as root.
   */
  readonly hostUser: string;
  /** Engine network of the one container that downloads; the other containers of a build have none. */
  readonly network: string;
  readonly index: IndexSettings;
  /** Which runtime image may serve a package where there is none with the Python that it asks for. */
  readonly python: "nearest-newer" | "exact";
  readonly variants: PluginVariants;
  /** Whether requirements without a fitting wheel, and those that name their own address, are built and installed. */
  readonly sourceBuilds: "allow" | "refuse";
}

export interface BuildLimits {
  readonly memoryBytes: number;
  readonly cpuMillis: number;
  readonly pidsMax: number;
  readonly openFilesMax: number;
  /** Size of `/tmp` in a build container. */
  readonly tmpBytes: number;
  /**
   * Disk limit of one build: of each file of its dependencies, and of all of them together. While they are fetched, twice
   * as much may be written (to the cache, then to the build's folder).
   */
  readonly diskBytes: number;
  /** From the first container to the image, without waits for another build of the same image. */
  readonly totalMs: number;
  /** How long an install may print, receive and write nothing. */
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
  /** Retries of one request, and how long one may be silent. */
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
