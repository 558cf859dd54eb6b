/**
 * Every setting: its name, what is accepted, its default, what it is for. No default stands anywhere else. README's
 * table is checked against this one by a test.
 */
import type { z } from "zod";
import { parsePlatformVersion } from "../domain/platform-version.ts";
import {
  baseUrl,
  decimal,
  destinations,
  hosts,
  indexUrl,
  indexUrls,
  integer,
  matching,
  networks,
  oneOf,
  optional,
  proxyUrl,
  quota,
  relativePath,
  type Setting,
  secret,
  subnet,
  text,
  whole,
} from "./kinds.ts";

export const SETTINGS = {
  BERTH_DATA: text("./data", "Folder for all that Berth keeps: database, queue, packages, logs, sockets"),
  BERTH_HOST: text("127.0.0.1", "Address to listen on"),
  BERTH_PORT: whole(0, 65_535, "5002", "Port to listen on; 0 takes a free one"),
  BERTH_PUBLIC_URL: matching(
    (value) => URL.canParse(value) && isPublicUrl(new URL(value)),
    "`https://host[:port]`, or `http://`, with a path where a proxy adds one",
    "Where callers reach Berth; set, answers hold whole URLs of it, else paths",
  ),
  BERTH_ADMIN_KEY: secret(
    "Operator's key; unset, one is made at the first start, in `admin-key` in the data folder",
  ),
  BERTH_DIFY_KEY: secret(
    "Key of a Dify API server (its `PLUGIN_DAEMON_KEY`); set, Berth answers the API of dify-plugin-daemon too",
  ),
  BERTH_DIFY_KEY_DEFAULT: oneOf(
    ["refuse", "accept"],
    "refuse",
    "`accept`: that key may be the one in Dify's published example files",
  ),
  BERTH_DIFY_ADMIN_KEY: secret("Key of that API's `/admin` routes; unset, there are none"),
  BERTH_DIFY_INNER_URL: matching(
    (value) => URL.canParse(value) && isPublicUrl(new URL(value)),
    "`https://host[:port]`, or `http://`, with a path where a proxy adds one",
    "Where that server's inner API is; set, it encrypts and decrypts the secrets of endpoints",
  ),
  BERTH_DIFY_INNER_KEY: secret("Key of the inner API (its `INNER_API_KEY_FOR_PLUGIN`)"),
  BERTH_DIFY_INNER_CONNECT_SECONDS_MAX: decimal(0.1, 3600, "5", "Time of a connection to the inner API"),
  BERTH_DIFY_INNER_SECONDS_MAX: decimal(0.1, 86_400, "30", "Time of one request to it"),
  BERTH_SECRET_KEYS: secret(
    "Keys that the secrets of endpoints are sealed with where no inner API does it: `id:base64 of 32 bytes`, comma-separated, the first one seals; unset, one is made at the first start, in `secret-keys` in the data folder",
  ),
  BERTH_LOG_LEVEL: oneOf(["debug", "info", "warn", "error", "silent"], "info", "How much is logged"),
  BERTH_HTTP_CONNECTIONS_MAX: whole(1, 100_000, "4096", "Connections to the API at once"),
  BERTH_HTTP_IDLE_SECONDS: decimal(
    0.1,
    3600,
    "75",
    "A connection without a request is closed after that time; more than that of a proxy in front",
  ),
  BERTH_HTTP_REQUEST_SECONDS_MAX: decimal(
    1,
    86_400,
    "300",
    "Time until a whole request, or upload, is there",
  ),
  BERTH_ENDPOINTS: oneOf(["on", "off"], "on", "`off`: the addresses of endpoints, `/e/...`, answer nothing"),
  BERTH_HOOK_BODY_MB_MAX: whole(1, 256, "10", "Body of a request to an endpoint (MiB)"),
  BERTH_METRICS: oneOf(["on", "off"], "on", "`off`: there is no `/metrics`"),
  BERTH_DOCTOR: oneOf(
    ["on", "off"],
    "on",
    "`off`: a start on a new engine does not look whether the limits of plugins hold there",
  ),
  BERTH_DRAIN_DELAY_SECONDS: decimal(
    0,
    3600,
    "0",
    "After a stop signal: still accepts for so long, not ready, so that a load balancer turns away",
  ),

  DATABASE_URL: secret("PostgreSQL 14+ (`postgresql://...`); unset, PGlite in the data folder"),
  BERTH_DATABASE_POOL: whole(1, 1000, "10", "Connections of each process to PostgreSQL at most"),
  REDIS_URL: secret(
    "Redis 6.2+ (`redis://`, `rediss://`, `unix://`, `redis+sentinel://`); unset, a `redis-server` child in the data folder",
  ),
  BERTH_START_WAIT_SECONDS: decimal(
    0,
    86_400,
    "60",
    "How long a start waits for PostgreSQL, Redis and the Docker Engine; 0: it tries once",
  ),
  BERTH_ENGINE_SOCKET: text("/var/run/docker.sock", "Unix socket of the Docker Engine"),

  BERTH_PACKAGE_MB_MAX: whole(1, 4096, "50", "Size of an uploaded package, and of what it unpacks to (MiB)"),
  BERTH_BUNDLE_MB_MAX: whole(1, 65_536, "600", "Size of an uploaded bundle, and of what it unpacks to (MiB)"),
  BERTH_PLATFORM_VERSION: matching(
    (value) => parsePlatformVersion(value) !== undefined,
    "a version, for example `1.9.0`",
    "Version of the platform; set, a package that asks for a newer one gets a warning",
  ),
  BERTH_SIGNATURE_POLICY: oneOf(
    ["off", "warn", "require"],
    "warn",
    "What a package needs that no trusted key has signed: nothing, a warning, or it is refused; a tenant may have its own",
  ),
  BERTH_TRUSTED_KEYS: optional(
    "PEM files of public keys whose signatures count, or folders of them (`*.pem`), comma-separated",
  ),
  BERTH_TRUST_MARKETPLACE: oneOf(
    ["yes", "no"],
    "no",
    "`yes`: the signatures of Dify's marketplace count, as they do in dify-plugin-daemon",
  ),
  BERTH_SIGNATURE_NO_CATEGORY: oneOf(
    ["none", "langgenius"],
    "none",
    "Category of a signed package that names none: `langgenius` for packages of the time before categories",
  ),
  BERTH_SIGNATURE_LANGGENIUS: oneOf(
    ["yes", "no"],
    "yes",
    "`yes`: a package of the author `langgenius` counts as signed only with the category `langgenius`",
  ),
  BERTH_STORAGE: optional(
    "Folder of packages, icons and what plugins keep, as dify-plugin-daemon lays it out; unset, `storage` in the data folder",
  ),
  BERTH_STORAGE_PACKAGES: relativePath("plugin_packages", "Where packages stand in the storage"),
  BERTH_STORAGE_INSTALLED: relativePath("plugin", "Where copies of the installed ones stand in it"),
  BERTH_STORAGE_ASSETS: relativePath("assets", "Where icons stand in it"),
  BERTH_STORAGE_PERSISTENCE: relativePath("persistence", "Where it holds what plugins keep"),
  BERTH_S3_BUCKET: optional("Bucket that is the storage; unset, the folder is"),
  BERTH_S3_ENDPOINT: matching(
    (value) => URL.canParse(value) && isBareUrl(new URL(value)),
    "`https://host[:port]`, or `http://`",
    "Server of the bucket (`https://s3.eu-central-1.amazonaws.com`)",
  ),
  BERTH_S3_REGION: text("us-east-1", "Region of the bucket"),
  BERTH_S3_PREFIX: matching(
    (value) => /^[\w.-]+(\/[\w.-]+)*\/?$/.test(value),
    "letters, digits, `_`, `.`, `-`, and `/` between and after them",
    "Folder in the bucket (`berth/`); unset, the bucket is Berth's alone",
  ),
  BERTH_S3_PATH_STYLE: oneOf(
    ["yes", "no"],
    "yes",
    "Where the bucket is named: `yes`: in the path; `no`: in front of the host's name",
  ),
  BERTH_S3_ACCESS_KEY_ID: optional(
    "Access key; unset, the machine's credentials are used, as the vendor's tools find them",
  ),
  BERTH_S3_SECRET_ACCESS_KEY: secret("Secret of the access key"),
  BERTH_S3_CACHE_MB: whole(0, 16_777_216, "1024", "Packages of the bucket that are kept at hand (MiB)"),
  BERTH_MARKETPLACE_URL: baseUrl("https://marketplace.dify.ai", "Marketplace that packages are fetched from"),
  BERTH_MARKETPLACE_TOKEN: secret("Token for the marketplace, where it wants one"),
  BERTH_GITHUB_URL: baseUrl(
    "https://github.com",
    "Server of the release files that packages are fetched from",
  ),
  BERTH_GITHUB_API_URL: baseUrl("https://api.github.com", "Its API, which is asked where there is a token"),
  BERTH_GITHUB_TOKEN: secret("Token for that API: opens private repositories, and more requests an hour"),
  BERTH_SOURCE_SECONDS_MAX: decimal(0.1, 86_400, "600", "Time of a download with all its tries"),
  BERTH_SOURCE_SILENCE_SECONDS_MAX: decimal(
    0.1,
    3600,
    "30",
    "Time of a download without a byte, after which it is tried again",
  ),
  BERTH_SOURCE_REDIRECTS_MAX: whole(0, 20, "5", "Redirects that a download follows"),
  BERTH_SOURCE_PRIVATE_NETWORKS: networks("Addresses that downloads may reach although they are not public"),
  BERTH_PACKAGE_INDEX_URL: indexUrl(
    "Package index that builds use instead of the public one; may hold a password",
  ),
  BERTH_PACKAGE_EXTRA_INDEX_URLS: indexUrls(
    "Package indexes that builds ask first, separated by spaces; may hold passwords",
  ),
  BERTH_CA_BUNDLE: optional(
    "PEM file of certificate authorities that builds, plugins and Berth itself trust beside the public ones",
  ),
  HTTP_PROXY: proxyUrl(
    "Proxy of builds, plugins and package downloads for `http://` addresses; may hold a password. No other traffic of Berth uses it",
  ),
  HTTPS_PROXY: proxyUrl("The same for `https://` addresses"),
  NO_PROXY: text(
    "",
    "Hosts that builds, plugins and package downloads reach without a proxy, comma-separated",
  ),
  BERTH_PYTHON_VERSION: oneOf(
    ["nearest", "exact"],
    "nearest",
    "`nearest`: the next newer Python serves a package, with a warning; `exact`: it is refused",
  ),
  BERTH_BUILD_MEMORY_MB: whole(64, 1_048_576, "2048", "Memory of a build (MiB)"),
  BERTH_BUILD_DISK_MB: whole(16, 16_777_216, "4096", "Disk that a build may fill (MiB)"),
  BERTH_BUILD_CPUS: decimal(0.1, 1024, "2", "CPUs of a build"),
  BERTH_BUILD_SECONDS_MAX: decimal(1, 86_400, "600", "Time of a build"),
  BERTH_BUILD_SILENCE_SECONDS_MAX: decimal(0.1, 86_400, "120", "Time of a build without any progress"),
  BERTH_BUILDS_MAX: whole(1, 64, "2", "Builds at once"),
  BERTH_IMPORT_MB_MAX: whole(1, 16_777_216, "8192", "Size of an image that comes with an import (MiB)"),
  BERTH_PACKAGE_INDEX_RETRIES: whole(
    0,
    100,
    "3",
    "How often one request to a package index is repeated before the build fails",
  ),
  BERTH_INSTALL_RETRIES_MAX: whole(
    0,
    1000,
    "5",
    "How often an install is tried again after a cause that may pass",
  ),
  BERTH_INSTALL_RETRY_SECONDS: decimal(
    0.01,
    3600,
    "2",
    "Delay of the first such try; each next one waits longer",
  ),

  BERTH_ISOLATION: oneOf(
    ["tenant", "shared"],
    "tenant",
    "`tenant`: Containers of its own for each tenant; `shared`: tenants share those of a plugin",
  ),
  BERTH_SHARED_PLUGINS: text("", "Plugins (`author/name`, comma-separated) that are shared all the same"),
  BERTH_EGRESS: oneOf(
    ["open", "list", "none"],
    "open",
    "What plugins may reach: `open`: all but the host, each other and link-local addresses; `list`: what `BERTH_EGRESS_ALLOW` lists; `none`: nothing",
  ),
  BERTH_EGRESS_ALLOW: destinations(
    "Destinations that plugins may reach: with `list` these alone, with `open` also where they are the host's or link-local",
  ),
  BERTH_EGRESS_HOSTS: hosts(
    "Names that plugins find in their hosts file; `gateway` is the host itself (`host.docker.internal=gateway`)",
  ),
  BERTH_EGRESS_SUBNET: subnet(
    "Network of the plugins' bridges, where the Engine is not to pick one; each kind of bridge gets half of it",
  ),
  BERTH_HOST_MEMORY_MB: quota(
    "Memory that all running plugins may be granted together (MiB); 0: not counted; unset: the machine's without 1 GiB, or a quarter of it where that is less",
  ),
  BERTH_TENANT_INSTALLATIONS_MAX: quota(
    "Installations that a tenant may have, where it has no quota of its own; unset: any number",
  ),
  BERTH_TENANT_MEMORY_MB_MAX: quota(
    "Memory that a tenant's running plugins may reserve together, in the same way (MiB)",
  ),
  BERTH_TENANT_DISK_MB_MAX: quota(
    "What a tenant's plugins may keep together, with the packages that it uploads, in the same way (MiB)",
  ),
  BERTH_TENANT_CALLS_MAX: quota("Calls of all of a tenant's plugins at once, in the same way"),
  BERTH_PLUGIN_MEMORY_MB_FLOOR: whole(
    16,
    1_048_576,
    "256",
    "Below it, a real package's declared memory is advice (MiB)",
  ),
  BERTH_PLUGIN_MEMORY_MB_MAX: whole(16, 1_048_576, "2048", "Memory that a plugin may be granted (MiB)"),
  BERTH_PLUGIN_STORAGE_MB: whole(1, 1_048_576, "100", "Size of /tmp where the manifest does not say (MiB)"),
  BERTH_PLUGIN_STORAGE_MB_MAX: whole(1, 1_048_576, "1024", "Size of /tmp that a plugin may be granted (MiB)"),
  BERTH_PLUGIN_CPUS: decimal(0.05, 1024, "1", "CPUs of a plugin"),
  BERTH_PLUGINS_CPU_WEIGHT_PERCENT: whole(
    0,
    10_000,
    "0",
    "CPU weight of all plugins together where processors are full, in per cent of an ordinary neighbour; 0: a fair share",
  ),
  BERTH_NICE: integer(
    -20,
    19,
    "-5",
    "Scheduling priority of Berth's own processes (`nice`); below 0 they come before plugins on full processors, where Berth may set it",
  ),
  BERTH_PLUGIN_PIDS_MAX: whole(16, 100_000, "256", "Processes and threads of a plugin"),
  BERTH_PLUGIN_CALLS_MAX: whole(
    1,
    10_000,
    "1000",
    "Calls in flight of one Installation, at most and by default",
  ),
  BERTH_PLUGIN_REPLICAS_MAX: whole(1, 64, "4", "Containers that a plugin may be given to run at once"),
  BERTH_SHARED_REPLICAS_MIN: whole(1, 64, "1", "Containers that each plugin which tenants share always has"),
  BERTH_SHARED_REPLICAS_MAX: whole(1, 64, "1", "The same while it is busy, at most"),
  BERTH_REPLICA_BUSY_CALLS: whole(1, 10_000, "1", "Open calls from which on a Container of a plugin is busy"),
  BERTH_REPLICA_BUSY_SECONDS: decimal(
    0.1,
    3600,
    "5",
    "Another Container starts once all of a plugin that may have more were busy for that time",
  ),
  BERTH_REPLICA_QUIET_SECONDS: decimal(
    0.1,
    604_800,
    "300",
    "One stops once the calls of so long a time would not have kept one fewer busy",
  ),
  BERTH_PLUGIN_SECONDS_MAX: decimal(0.1, 86_400, "600", "Time of one call, at most and by default"),
  BERTH_PLUGIN_FRAME_MB_MAX: whole(1, 256, "16", "Size of one message of a plugin (MiB)"),
  BERTH_PLUGIN_STORE_MB_MAX: whole(1, 1_048_576, "100", "What one plugin may keep for one tenant (MiB)"),
  BERTH_START_SECONDS_MAX: decimal(0.1, 3600, "120", "Time until a started plugin must be ready"),
  BERTH_START_BUSY_SECONDS_MAX: decimal(
    0.1,
    86_400,
    "360",
    "The same on a busy host: time in which work waits for a processor does not count, up to this",
  ),
  BERTH_STOP_SECONDS_MAX: decimal(0, 3600, "10", "Time that a stopped plugin has before it is killed"),
  BERTH_IDLE_STOP_SECONDS: decimal(
    0,
    31_536_000,
    "0",
    "Stop a plugin's Container after that time without calls; 0: never",
  ),

  BERTH_LEASE_SECONDS: decimal(0.2, 300, "10", "How long a dead worker's task, build and pools stay taken"),
  BERTH_SWEEP_SECONDS: decimal(0.05, 3600, "5", "Period in which forgotten tasks are handed out again"),
  BERTH_POLL_SECONDS: decimal(0.05, 5, "2", "Period in which each process looks for changes in the database"),
  BERTH_EVENT_DAYS: decimal(0, 36_500, "90", "How long the audit's events are kept; 0: for ever"),
  BERTH_TASK_DAYS: decimal(0, 36_500, "90", "How long finished tasks are kept, with their logs; 0: for ever"),
  BERTH_RUNTIME_DAYS: decimal(
    0,
    36_500,
    "90",
    "How long the history of a plugin's containers is kept; 0: the last 200 of each pool, for ever",
  ),
  BERTH_UPLOAD_DAYS: decimal(0, 36_500, "0", "When an upload that nobody has installed is removed; 0: never"),
  BERTH_DISK_IMAGES_MB: whole(0, 16_777_216, "20480", "Images of plugins that may stand there (MiB)"),
  BERTH_DISK_WHEELS_MB: whole(0, 16_777_216, "5120", "Wheels that are kept for later builds (MiB)"),
  BERTH_DISK_PACKAGES_MB: whole(0, 16_777_216, "10240", "Packages that may stand there (MiB)"),
  BERTH_DISK_BUILD_LOGS_MB: whole(0, 16_777_216, "512", "What builds printed (MiB)"),
  BERTH_DISK_RUNTIME_LOGS_MB: whole(0, 16_777_216, "2048", "What plugins printed (MiB)"),
  BERTH_DISK_GC_SECONDS: decimal(
    0,
    86_400,
    "600",
    "Period in which room is made where one of these is exceeded; 0: only when asked",
  ),
  BERTH_DISK_GRACE_SECONDS: decimal(
    0,
    31_536_000,
    "3600",
    "Age from which what broken-off work left is removed",
  ),
  BERTH_RECONCILE_SECONDS: decimal(
    0.1,
    3600,
    "30",
    "Period in which wanted and running Containers are compared",
  ),
  BERTH_EXCEPTIONS_PER_MINUTE_MAX: whole(
    0,
    1_000_000,
    "10",
    "Exceptions that nobody caught; more within a minute end the process, plugins run on",
  ),
  BERTH_HEALTH_SECONDS: decimal(0.1, 3600, "20", "Period of health checks"),
  BERTH_HEALTH_PATIENCE_SECONDS: decimal(
    1,
    86_400,
    "300",
    "Silence of a plugin after which it is replaced however busy the host is",
  ),
  BERTH_HEALTH_REPLACEMENTS_PER_MINUTE: whole(
    1,
    10_000,
    "6",
    "Plugins that are replaced for their health in a minute, at most",
  ),
  BERTH_HEARTBEAT_SECONDS_MAX: decimal(
    1,
    86_400,
    "120",
    "Time without a heartbeat after which a plugin that answers a call counts as hung",
  ),
  BERTH_IDLE_HEARTBEAT_SECONDS_MAX: decimal(1, 86_400, "25", "The same for a plugin without a call"),
  BERTH_PRESSURE_PERCENT_MAX: whole(
    1,
    101,
    "60",
    "Share of time in which work waits for a processor, from which on the host counts as busy and silence is judged later; 101: never",
  ),
  BERTH_ORPHAN_SECONDS: decimal(
    0,
    86_400,
    "60",
    "Age from which a Container of ours that nobody knows is removed",
  ),
} as const satisfies Record<string, Setting<unknown>>;

export type SettingName = keyof typeof SETTINGS;
export type Settings = { readonly [N in SettingName]: z.infer<(typeof SETTINGS)[N]["parse"]> | DefaultOf<N> };
type DefaultOf<N extends SettingName> = (typeof SETTINGS)[N]["default"] extends string ? never : undefined;

function isPublicUrl({ protocol, username, password, search, hash }: URL): boolean {
  return (protocol === "https:" || protocol === "http:") && `${username}${password}${search}${hash}` === "";
}

function isBareUrl({ protocol, username, password, pathname, search, hash }: URL): boolean {
  const rest = `${username}${password}${search}${hash}`;
  return (protocol === "https:" || protocol === "http:") && pathname === "/" && rest === "";
}
