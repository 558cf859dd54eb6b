/**
 * `readConfig` parses an environment into one frozen value that is passed down, and reports all problems together.
 * Nothing else reads the environment.
 *
 * A secret may be in a file instead: `NAME_FILE` is the path of that file.
 */
import { resolve } from "node:path";
import { type DaemonSettings, PUBLISHED_KEYS, readDaemonSettings } from "./config/daemon/read.ts";
import {
  type Env,
  isSet,
  proxiedByNode,
  readSecret,
  unknownNames,
  withLowerCaseNames,
} from "./config/environment.ts";
import type { Setting } from "./config/kinds.ts";
import { SETTINGS, type SettingName, type Settings } from "./config/settings.ts";
import { Fault } from "./domain/fault.ts";
import type { Limits, LimitsPolicy } from "./domain/limits.ts";

/** The settings and what follows from them, in the units that the parts use. */
export interface Config {
  readonly settings: Settings;
  /** Absolute. */
  readonly dataFolder: string;
  readonly limits: LimitsPolicy;
  /** Accepted, but probably a mistake; one sentence each. */
  readonly warnings: readonly string[];
  /** Set, but without effect; one sentence each. */
  readonly notes: readonly string[];
}

/**
 * Reads an environment, the files of secrets and Node's own flags. Throws `config_invalid`, which lists every problem,
 * one per line.
 */
export function readConfig(given: Env, nodeFlags: readonly string[] = process.execArgv): Config {
  const problems: string[] = proxiedByNode(given, nodeFlags);
  const values = new Map<string, unknown>();
  const { env: named, warnings } = withLowerCaseNames(given);
  const daemon = readDaemonSettings(named);
  problems.push(...daemon.problems);
  const env: Env = { ...named, ...Object.fromEntries(daemon.values) };
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
        `${shownName(name, daemon)} is ${setting.secret ? "not usable" : JSON.stringify(text)}; accepted: ${setting.accepted}`,
      );
  }
  problems.push(
    ...unknownNames(env),
    ...pairProblems(values),
    ...hostCallProblems(values),
    ...replicaProblems(values),
    ...publishedKeyProblems(values),
    ...storageProblems(values),
  );
  if (problems.length > 0) {
    throw new Fault(
      "config_invalid",
      `Some settings are wrong:\n${problems.map((line) => `  ${line}`).join("\n")}`,
    );
  }
  const settings = Object.freeze(Object.fromEntries(values)) as Settings;
  return Object.freeze({
    settings,
    dataFolder: resolve(settings.BERTH_DATA),
    limits: limitsPolicy(settings),
    warnings,
    notes: daemon.notes,
  });
}

/** The name under which the operator has set it. */
function shownName(name: string, { values, origins }: DaemonSettings): string {
  const [found] = [...origins].filter(([to, from]) => to === name && values.has(to) && from !== "");
  return found === undefined ? name : `${found[1]} (which is ${name})`;
}

/** A folder inside another one would mix their contents. */
function storageProblems(values: ReadonlyMap<string, unknown>): string[] {
  const names = [
    "BERTH_STORAGE_PACKAGES",
    "BERTH_STORAGE_INSTALLED",
    "BERTH_STORAGE_ASSETS",
    "BERTH_STORAGE_PERSISTENCE",
  ] as const satisfies readonly SettingName[];
  const paths = names.map((name) => ({ name, path: `${values.get(name)}/` }));
  return paths.flatMap(({ name, path }, index) =>
    paths
      .slice(index + 1)
      .filter((other) => path.startsWith(other.path) || other.path.startsWith(path))
      .map((other) => `${name} and ${other.name} overlap; accepted: folders that do not contain each other`),
  );
}

function publishedKeyProblems(values: ReadonlyMap<string, unknown>): string[] {
  const key = values.get("BERTH_DIFY_KEY" satisfies SettingName);
  const isLeft = typeof key === "string" && PUBLISHED_KEYS.includes(key);
  if (!isLeft || values.get("BERTH_DIFY_KEY_DEFAULT" satisfies SettingName) === "accept") return [];
  return [
    "SERVER_KEY (which is BERTH_DIFY_KEY) is the published key of the example files; accepted: your own key, which Dify has as PLUGIN_DAEMON_KEY, or BERTH_DIFY_KEY_DEFAULT=accept",
  ];
}

function replicaProblems(values: ReadonlyMap<string, unknown>): string[] {
  const [least, most] = (
    ["BERTH_SHARED_REPLICAS_MIN", "BERTH_SHARED_REPLICAS_MAX"] as const satisfies readonly SettingName[]
  ).map((name) => Number(values.get(name)));
  if (least === undefined || most === undefined || !(least > most)) return [];
  return [
    `BERTH_SHARED_REPLICAS_MIN is ${least}; accepted: at most BERTH_SHARED_REPLICAS_MAX, which is ${most}`,
  ];
}

/** Settings that have no effect, or a wrong one, without each other. */
function pairProblems(values: ReadonlyMap<string, unknown>): string[] {
  const needs = [
    ["BERTH_S3_BUCKET", "BERTH_S3_ENDPOINT"],
    ["BERTH_S3_ENDPOINT", "BERTH_S3_BUCKET"],
    ["BERTH_S3_ACCESS_KEY_ID", "BERTH_S3_SECRET_ACCESS_KEY"],
    ["BERTH_S3_SECRET_ACCESS_KEY", "BERTH_S3_ACCESS_KEY_ID"],
    ["BERTH_S3_ACCESS_KEY_ID", "BERTH_S3_BUCKET"],
    ["BERTH_DIFY_INNER_URL", "BERTH_DIFY_INNER_KEY"],
    ["BERTH_DIFY_INNER_KEY", "BERTH_DIFY_INNER_URL"],
  ] as const satisfies readonly (readonly [SettingName, SettingName])[];
  return needs
    .filter(([name, other]) => values.has(name) && !values.has(other))
    .map(([name, other]) => `${name} is set without ${other}; accepted: both or neither`);
}

function hostCallProblems(values: ReadonlyMap<string, unknown>): string[] {
  const places = values.get("BERTH_HOST_CALLS" satisfies SettingName) as
    | Settings["BERTH_HOST_CALLS"]
    | undefined;
  const { all, types } = places ?? { types: {} };
  const named = Object.entries(types).filter(([, place]) => place === "platform");
  const sent = [...(all === "platform" ? ["calls"] : []), ...named.map(([type]) => type)];
  if (sent.length === 0 || values.has("BERTH_DIFY_INNER_URL" satisfies SettingName)) return [];
  return [
    `BERTH_HOST_CALLS sends ${sent.join(", ")} to the platform, and BERTH_DIFY_INNER_URL is not set; accepted: local, or both BERTH_DIFY_INNER_URL and BERTH_DIFY_INNER_KEY`,
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
    replicasMin: settings.BERTH_PLUGIN_REPLICAS_MAX,
    replicasMax: settings.BERTH_PLUGIN_REPLICAS_MAX,
  };
  const memoryBytesFloor = settings.BERTH_PLUGIN_MEMORY_MB_FLOOR * MIB;
  const defaults: Limits = {
    ...always,
    memoryBytes: memoryBytesFloor,
    storageBytes: settings.BERTH_PLUGIN_STORAGE_MB * MIB,
    replicasMin: 1,
    replicasMax: 1,
  };
  return { memoryBytesFloor, ceiling, defaults };
}
