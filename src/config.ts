/**
 * Every setting, in one table: its name, what is accepted, its default, what it is for. `readConfig` turns an
 * environment into one frozen value that is passed down, and names all problems at once; nothing else reads the
 * environment, and no default stands anywhere else. README's table is checked against this one by a test.
 *
 * A secret may stand in a file instead, which its name with `_FILE` behind it names.
 */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { z } from "zod";
import { Fault } from "./domain/fault.ts";
import type { Limits, LimitsPolicy } from "./domain/limits.ts";

interface Setting<T> {
  readonly parse: z.ZodType<T, string>;
  readonly accepted: string;
  /** As it would be written in the environment; undefined: not set. */
  readonly default: string | undefined;
  readonly about: string;
  /** Its value is never printed. */
  readonly secret?: true;
}

export const SETTINGS = {
  BERTH_DATA: text("./data", "Folder for all that Berth keeps: database, queue, packages, logs, sockets"),
  BERTH_HOST: text("127.0.0.1", "Address to listen on"),
  BERTH_PORT: whole(0, 65_535, "5002", "Port to listen on; 0 takes a free one"),
  BERTH_ADMIN_KEY: secret(
    "Operator's key; unset, one is made at the first start, in `admin-key` in the data folder",
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
  BERTH_S3_BUCKET: optional("Bucket that keeps packages; unset, a folder in the data folder does"),
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
  BERTH_PACKAGE_INDEX_URL: indexUrl(
    "Package index that builds use instead of the public one; may hold a password",
  ),
  BERTH_PACKAGE_EXTRA_INDEX_URLS: indexUrls(
    "Package indexes that builds ask first, separated by spaces; may hold passwords",
  ),
  BERTH_CA_BUNDLE: optional(
    "PEM file of certificate authorities that builds and plugins trust beside the public ones",
  ),
  HTTP_PROXY: proxyUrl(
    "Proxy of builds and plugins for `http://` addresses; may hold a password. Berth's own traffic never uses it",
  ),
  HTTPS_PROXY: proxyUrl("The same for `https://` addresses"),
  NO_PROXY: text("", "Hosts that builds and plugins reach without a proxy, comma-separated"),
  BERTH_PYTHON_VERSION: oneOf(
    ["nearest", "exact"],
    "nearest",
    "`nearest`: the next newer Python serves a package, with a warning; `exact`: it is refused",
  ),
  BERTH_BUILD_MEMORY_MB: whole(64, 1_048_576, "2048", "Memory of a build (MiB)"),
  BERTH_BUILD_CPUS: decimal(0.1, 1024, "2", "CPUs of a build"),
  BERTH_BUILD_SECONDS_MAX: decimal(1, 86_400, "600", "Time of a build"),
  BERTH_BUILD_SILENCE_SECONDS_MAX: decimal(0.1, 86_400, "120", "Time of a build without any progress"),
  BERTH_BUILDS_MAX: whole(1, 64, "2", "Builds at once"),

  BERTH_ISOLATION: oneOf(
    ["tenant", "shared"],
    "tenant",
    "`tenant`: Containers of its own for each tenant; `shared`: tenants share those of a plugin",
  ),
  BERTH_SHARED_PLUGINS: text("", "Plugins (`author/name`, comma-separated) that are shared all the same"),
  BERTH_PLUGIN_NETWORK: oneOf(["bridge", "none"], "bridge", "`none`: plugins reach no network"),
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
  BERTH_PLUGIN_PIDS_MAX: whole(16, 100_000, "256", "Processes and threads of a plugin"),
  BERTH_PLUGIN_CALLS_MAX: whole(
    1,
    10_000,
    "1000",
    "Calls in flight of one Installation, at most and by default",
  ),
  BERTH_PLUGIN_SECONDS_MAX: decimal(0.1, 86_400, "600", "Time of one call, at most and by default"),
  BERTH_PLUGIN_FRAME_MB_MAX: whole(1, 256, "16", "Size of one message of a plugin (MiB)"),
  BERTH_PLUGIN_STORE_MB_MAX: whole(1, 1_048_576, "100", "What one plugin may keep for one tenant (MiB)"),
  BERTH_START_SECONDS_MAX: decimal(0.1, 3600, "120", "Time until a started plugin must be ready"),
  BERTH_STOP_SECONDS_MAX: decimal(0, 3600, "10", "Time that a stopped plugin has before it is killed"),
  BERTH_IDLE_STOP_SECONDS: decimal(
    0,
    31_536_000,
    "0",
    "Stop a plugin's Container after that time without calls; 0: never",
  ),

  BERTH_LEASE_SECONDS: decimal(0.2, 3600, "10", "How long a dead worker's task, build and pools stay taken"),
  BERTH_SWEEP_SECONDS: decimal(0.05, 3600, "5", "Period in which forgotten tasks are handed out again"),
  BERTH_POLL_SECONDS: decimal(0.05, 5, "2", "Period in which each process looks for changes in the database"),
  BERTH_EVENT_DAYS: decimal(0, 36_500, "90", "How long the audit's events are kept; 0: for ever"),
  BERTH_RECONCILE_SECONDS: decimal(
    0.1,
    3600,
    "30",
    "Period in which wanted and running Containers are compared",
  ),
  BERTH_HEALTH_SECONDS: decimal(0.1, 3600, "30", "Period of health checks"),
  BERTH_ORPHAN_SECONDS: decimal(
    0,
    86_400,
    "60",
    "Age from which a Container of ours that nobody knows is removed",
  ),
} as const satisfies Record<string, Setting<unknown>>;

type SettingName = keyof typeof SETTINGS;
export type Settings = { readonly [N in SettingName]: z.infer<(typeof SETTINGS)[N]["parse"]> | DefaultOf<N> };
type DefaultOf<N extends SettingName> = (typeof SETTINGS)[N]["default"] extends string ? never : undefined;

/** The settings and what follows from them, in the units that the parts take. */
export interface Config {
  readonly settings: Settings;
  /** Absolute. */
  readonly dataFolder: string;
  readonly limits: LimitsPolicy;
  /** What is legal and probably not meant, one sentence each. */
  readonly warnings: readonly string[];
}

type Env = Readonly<Record<string, string | undefined>>;

/**
 * Reads an environment, the files of secrets and the flags that Node was started with. Throws `config_invalid`, which
 * lists every problem, one a line.
 */
export function readConfig(given: Env, nodeFlags: readonly string[] = process.execArgv): Config {
  const problems: string[] = proxiedByNode(given, nodeFlags);
  const values = new Map<string, unknown>();
  const { env, warnings } = withLowerCaseNames(given);
  for (const [name, setting] of Object.entries<Setting<unknown>>(SETTINGS)) {
    const raw = env[name] === "" && setting.default !== "" ? undefined : env[name];
    const text = raw ?? (setting.secret ? readSecret(env, name, problems) : setting.default);
    if (raw !== undefined && setting.secret && isSet(env, `${name}_FILE`))
      problems.push(`${name} and ${name}_FILE are both set; accepted: one of them`);
    if (text === undefined) continue;
    const parsed = setting.parse.safeParse(text);
    if (parsed.success) values.set(name, parsed.data);
    else
      problems.push(
        `${name} is ${setting.secret ? "not usable" : JSON.stringify(text)}; accepted: ${setting.accepted}`,
      );
  }
  problems.push(...unknownNames(env), ...bucketProblems(values));
  if (problems.length > 0) {
    throw new Fault(
      "config_invalid",
      `The settings are wrong:\n${problems.map((line) => `  ${line}`).join("\n")}`,
    );
  }
  const settings = Object.freeze(Object.fromEntries(values)) as Settings;
  return Object.freeze({
    settings,
    dataFolder: resolve(settings.BERTH_DATA),
    limits: limitsPolicy(settings),
    warnings,
  });
}

/** Settings of the bucket that mean nothing, or the wrong thing, without each other. */
function bucketProblems(values: ReadonlyMap<string, unknown>): string[] {
  const needs = [
    ["BERTH_S3_BUCKET", "BERTH_S3_ENDPOINT"],
    ["BERTH_S3_ENDPOINT", "BERTH_S3_BUCKET"],
    ["BERTH_S3_ACCESS_KEY_ID", "BERTH_S3_SECRET_ACCESS_KEY"],
    ["BERTH_S3_SECRET_ACCESS_KEY", "BERTH_S3_ACCESS_KEY_ID"],
    ["BERTH_S3_ACCESS_KEY_ID", "BERTH_S3_BUCKET"],
  ] as const satisfies readonly (readonly [SettingName, SettingName])[];
  return needs
    .filter(([name, other]) => values.has(name) && !values.has(other))
    .map(([name, other]) => `${name} is set without ${other}; accepted: both or neither`);
}

function isBareUrl({ protocol, username, password, pathname, search, hash }: URL): boolean {
  const rest = `${username}${password}${search}${hash}`;
  return (protocol === "https:" || protocol === "http:") && pathname === "/" && rest === "";
}

/** Names that programs write in lower case as well. */
const IN_BOTH_CASES = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] as const satisfies readonly SettingName[];

/** Lower case wins, as it does in curl and in Python; an empty value is none. */
function withLowerCaseNames(env: Env): { readonly env: Env; readonly warnings: readonly string[] } {
  const lower = IN_BOTH_CASES.filter((name) => isSet(env, name.toLowerCase()));
  const differing = lower.filter((name) => isSet(env, name) && env[name] !== env[name.toLowerCase()]);
  return {
    env: { ...env, ...Object.fromEntries(lower.map((name) => [name, env[name.toLowerCase()]])) },
    warnings: differing.map(
      (name) => `${name} and ${name.toLowerCase()} differ; the lower-case one is used, as other programs do.`,
    ),
  };
}

/** Node can be told to send all that a process asks for through the proxies; that would be Berth's own traffic. */
function proxiedByNode(env: Env, flags: readonly string[]): string[] {
  const names = IN_BOTH_CASES.flatMap((name) => [name, name.toLowerCase()]);
  if (!names.some((name) => /^https?_proxy$/i.test(name) && isSet(env, name))) return [];
  const [variable, flag] = ["NODE_USE_ENV_PROXY", "--use-env-proxy"];
  const why = "Node would send Berth's own traffic through the proxy of builds and plugins";
  return [
    ...(isSet(env, variable) && env[variable] !== "0"
      ? [`${variable} is ${JSON.stringify(env[variable])}; accepted: not set, or 0: ${why}`]
      : []),
    ...(flags.includes(flag) || (env["NODE_OPTIONS"] ?? "").split(/\s+/).includes(flag)
      ? [`Node was started with ${flag}; accepted: without it: ${why}`]
      : []),
  ];
}

/** The settings as the log may show them. */
export function redactedSettings(settings: Settings): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries<Setting<unknown>>(SETTINGS)
      .map(
        ([name, setting]) =>
          [name, setting.secret ? "[set]" : Reflect.get(settings, name), name in settings] as const,
      )
      .filter(([, , set]) => set),
  );
}

function isSet(env: Env, name: string): boolean {
  return env[name] !== undefined && env[name] !== "";
}

/** What the file of a secret holds, without the line's end that editors add. */
function readSecret(env: Env, name: string, problems: string[]): string | undefined {
  const path = env[`${name}_FILE`];
  if (path === undefined || path === "") return undefined;
  const shown = `${name}_FILE is ${JSON.stringify(path)}`;
  try {
    const text = readFileSync(path, "utf8").replace(/\r?\n$/, "");
    if (text !== "") return text;
    problems.push(`${shown}, which is empty; accepted: a file that holds the value`);
  } catch (error) {
    const why = error instanceof Error && "code" in error ? ` (${error.code})` : "";
    problems.push(`${shown}, which cannot be read${why}; accepted: a readable file`);
  }
  return undefined;
}

/** Read by the script that builds runtime images, from the same environment. */
const OF_IMAGE_BUILDS = ["BERTH_RUNTIME_IMAGE", "BERTH_RUNTIME_BASE", "BERTH_DEBIAN_MIRROR", "BERTH_CACHE"];

/** Settings of earlier releases, and what does their work now. */
const RENAMED: Readonly<Record<string, string>> = {
  BERTH_PROXY_URL: "HTTP_PROXY and HTTPS_PROXY",
  BERTH_NO_PROXY: "NO_PROXY",
};

/** A misspelt setting is an error too: it would be ignored in silence. `BERTH_TEST_*` belongs to the tests. */
function unknownNames(env: Env): string[] {
  const files = Object.entries<Setting<unknown>>(SETTINGS).flatMap(([name, { secret: isSecret }]) =>
    isSecret ? [`${name}_FILE`] : [],
  );
  return Object.keys(env)
    .filter((name) => name.startsWith("BERTH_") && !name.startsWith("BERTH_TEST_"))
    .filter((name) => !(name in SETTINGS) && !files.includes(name) && !OF_IMAGE_BUILDS.includes(name))
    .map((name) => {
      const now = Object.hasOwn(RENAMED, name) ? RENAMED[name] : undefined;
      return now === undefined
        ? `${name} is no setting of Berth; accepted: ${Object.keys(SETTINGS).join(", ")}`
        : `${name} is no setting of Berth any more; accepted: ${now}, which took its place`;
    });
}

const MIB = 1_048_576;

function limitsPolicy(settings: Settings): LimitsPolicy {
  const always = {
    cpuMillis: Math.round(settings.BERTH_PLUGIN_CPUS * 1000),
    pidsMax: settings.BERTH_PLUGIN_PIDS_MAX,
    concurrencyMax: settings.BERTH_PLUGIN_CALLS_MAX,
    timeoutMs: settings.BERTH_PLUGIN_SECONDS_MAX * 1000,
  };
  const ceiling: Limits = {
    ...always,
    memoryBytes: settings.BERTH_PLUGIN_MEMORY_MB_MAX * MIB,
    storageBytes: settings.BERTH_PLUGIN_STORAGE_MB_MAX * MIB,
  };
  const memoryBytesFloor = settings.BERTH_PLUGIN_MEMORY_MB_FLOOR * MIB;
  const defaults: Limits = {
    ...always,
    memoryBytes: memoryBytesFloor,
    storageBytes: settings.BERTH_PLUGIN_STORAGE_MB * MIB,
  };
  return { memoryBytesFloor, ceiling, defaults };
}

function text<const D extends string>(fallback: D, about: string) {
  return { parse: z.string() as z.ZodType<string, string>, accepted: "text", default: fallback, about };
}

function optional(about: string) {
  return {
    parse: z.string().min(1) as z.ZodType<string, string>,
    accepted: "text",
    default: undefined,
    about,
  };
}

function secret(about: string) {
  return { ...optional(about), secret: true as const };
}

/** A program that finds no scheme takes it for `http://`; not all do, so all of them are given it. */
function proxyUrl(about: string) {
  const parse = z
    .string()
    .transform((given) => (given.includes("://") ? given : `http://${given}`))
    .refine((url) => isHttpUrl(url) && /^[^/]+:\/\/[^/?#]+\/?$/.test(url)) as z.ZodType<string, string>;
  const accepted =
    "`http://host:port` or `https://host:port`, with `user:password@` before the host where needed";
  return { parse, accepted, default: undefined, about, secret: true as const };
}

function indexUrl(about: string) {
  const parse = z.string().refine(isHttpUrl) as z.ZodType<string, string>;
  return {
    parse,
    accepted: "an `http://` or `https://` URL",
    default: undefined,
    about,
    secret: true as const,
  };
}

function indexUrls(about: string) {
  const parse = z
    .string()
    .transform((given) => given.split(/\s+/).filter((url) => url !== ""))
    .refine((urls) => urls.every(isHttpUrl)) as z.ZodType<readonly string[], string>;
  const accepted = "`http://` or `https://` URLs with spaces between them";
  return { parse, accepted, default: undefined, about, secret: true as const };
}

/** Without white space: it would part one URL in two in the installer's environment. */
function isHttpUrl(url: string): boolean {
  return /^https?:\/\/\S+$/i.test(url) && URL.canParse(url);
}

function matching(test: (value: string) => boolean, accepted: string, about: string) {
  const parse = z.string().refine(test) as z.ZodType<string, string>;
  return { parse, accepted, default: undefined, about };
}

function whole(min: number, max: number, fallback: string, about: string) {
  const parse = z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max) as z.ZodType<number, string>;
  return { parse, accepted: `a whole number from ${min} to ${max}`, default: fallback, about };
}

function decimal(min: number, max: number, fallback: string, about: string) {
  const parse = z
    .string()
    .regex(/^\d{1,15}(\.\d{1,6})?$/)
    .transform(Number)
    .refine((n) => n >= min && n <= max) as z.ZodType<number, string>;
  return { parse, accepted: `a number from ${min} to ${max}`, default: fallback, about };
}

function oneOf<const T extends readonly [string, ...string[]]>(
  choices: T,
  fallback: T[number],
  about: string,
) {
  const parse = z.enum(choices) as unknown as z.ZodType<T[number], string>;
  return { parse, accepted: choices.join(", "), default: fallback, about };
}
