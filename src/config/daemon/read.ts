/**
 * Reads an environment that was written for dify-plugin-daemon as settings of Berth, only where `SERVER_KEY` is set:
 * without it, `DB_HOST` and similar names may belong to other programs.
 */
import { type Env, isSet, readSecret } from "../environment.ts";
import { SETTINGS, type SettingName } from "../settings.ts";
import { DAEMON_NAMES } from "./names.ts";
import { makeParts, wrong } from "./parts.ts";
import type { DaemonRule } from "./rules.ts";

export interface DaemonSettings {
  /** As they would be written in the environment. */
  readonly values: ReadonlyMap<SettingName, string>;
  /** The daemon's name under which a setting was given, for messages about its value. */
  readonly origins: ReadonlyMap<SettingName, string>;
  readonly problems: readonly string[];
  /** One for each name that is ignored. */
  readonly notes: readonly string[];
}

const NONE: DaemonSettings = { values: new Map(), origins: new Map(), problems: [], notes: [] };

export function readDaemonSettings(env: Env): DaemonSettings {
  if (!isSet(env, "SERVER_KEY") && !isSet(env, "SERVER_KEY_FILE")) return NONE;
  const problems: string[] = [];
  const notes: string[] = [];
  const values = new Map<SettingName, string>();
  const origins = new Map<SettingName, string>();
  const given = givenNames(env, problems);
  for (const [name, rule] of Object.entries(DAEMON_NAMES)) {
    const value = given.get(name);
    if (rule.does === "maps") {
      for (const [to, text] of mapped({ name, rule, value }, problems)) {
        if (values.has(to)) continue;
        values.set(to, text);
        origins.set(to, name);
      }
    }
    if (value === undefined) continue;
    if (rule.does === "refused" && !rule.unless.includes(value))
      problems.push(wrong(name, value, rule.accepted));
    if (rule.does === "ignored") notes.push(`${name} is ignored: ${rule.why}`);
  }
  // The daemon leaves its folder alone then.
  if (values.has("BERTH_STORAGE") && given.get("PLUGIN_STORAGE_TYPE") === "aws_s3")
    values.delete("BERTH_STORAGE");
  for (const made of makeParts(given)) {
    problems.push(...made.problems);
    notes.push(...made.notes);
    for (const to of settingNames(made.values)) {
      values.set(to, made.values[to] ?? "");
      origins.set(to, partNames(to));
    }
  }
  for (const to of [...values.keys()].filter((name) => isSet(env, name) || isSet(env, `${name}_FILE`))) {
    const from = origins.get(to);
    if (from !== undefined && isGiven(given, from))
      notes.push(`${from} is ignored: ${to} is set and overrides it`);
    values.delete(to);
  }
  return { values, origins, problems, notes };
}

type Given = ReadonlyMap<string, string>;

/** An empty value counts as unset; a secret may be in a file. */
function givenNames(env: Env, problems: string[]): Given {
  const given = new Map<string, string>();
  for (const [name, rule] of Object.entries(DAEMON_NAMES)) {
    const isSecret = (rule.does === "maps" || rule.does === "part") && rule.isSecret === true;
    if (isSecret && isSet(env, name) && isSet(env, `${name}_FILE`))
      problems.push(`${name} and ${name}_FILE are both set; accepted: one of them`);
    const value = isSet(env, name) ? env[name] : isSecret ? readSecret(env, name, problems) : undefined;
    if (value !== undefined) given.set(name, value);
  }
  return given;
}

interface Mapping {
  readonly name: string;
  readonly rule: Extract<DaemonRule, { does: "maps" }>;
  readonly value: string | undefined;
}

function mapped(
  { name, rule, value }: Mapping,
  problems: string[],
): readonly (readonly [SettingName, string])[] {
  const text = value ?? rule.unset;
  if (text === undefined) return [];
  const converted = rule.convert(text);
  if ("accepted" in converted) {
    problems.push(wrong(name, rule.isSecret ? "..." : text, converted.accepted));
    return [];
  }
  return "is" in converted ? rule.to.map((to) => [to, converted.is] as const) : [];
}

function settingNames(values: Partial<Record<SettingName, string>>): readonly SettingName[] {
  return Object.keys(values).filter((name): name is SettingName => Object.hasOwn(SETTINGS, name));
}

/** The names that make a setting together. */
function partNames(to: SettingName): string {
  const names = Object.entries(DAEMON_NAMES).flatMap(([name, rule]) =>
    rule.does === "part" && rule.of.includes(to) ? [name] : [],
  );
  return names.join(", ");
}

function isGiven(given: Given, origin: string): boolean {
  return origin.split(", ").some((name) => given.has(name));
}

/** Keys from the public example files of Dify and the daemon: such a key is no secret. */
export const PUBLISHED_KEYS: readonly string[] = [
  "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi",
  "plugin-api-key",
];
