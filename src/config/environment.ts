/** How an environment gives the settings: names in lower case, secrets in files, unknown names. */
import { readFileSync } from "node:fs";
import { nearest } from "../util/nearest.ts";
import type { Setting } from "./kinds.ts";
import { SETTINGS, type SettingName } from "./settings.ts";

export type Env = Readonly<Record<string, string | undefined>>;

/** Names that other programs also read in lower case. */
const IN_BOTH_CASES = ["HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] as const satisfies readonly SettingName[];

/** Lower case wins, as in curl and Python; an empty value counts as unset. */
export function withLowerCaseNames(env: Env): { readonly env: Env; readonly warnings: readonly string[] } {
  const lower = IN_BOTH_CASES.filter((name) => isSet(env, name.toLowerCase()));
  const differing = lower.filter((name) => isSet(env, name) && env[name] !== env[name.toLowerCase()]);
  return {
    env: { ...env, ...Object.fromEntries(lower.map((name) => [name, env[name.toLowerCase()]])) },
    warnings: differing.map(
      (name) => `${name} and ${name.toLowerCase()} differ; the lower-case one is used, as other programs do.`,
    ),
  };
}

/** Node can send all requests of a process through the proxies, which would include Berth's own traffic. */
export function proxiedByNode(env: Env, flags: readonly string[]): string[] {
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

export function isSet(env: Env, name: string): boolean {
  return env[name] !== undefined && env[name] !== "";
}

/** Reads the file of a secret, without the line end that editors add. */
export function readSecret(env: Env, name: string, problems: string[]): string | undefined {
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

/** Read by the commands that speak to a server, from the same environment. */
const OF_THE_COMMAND_LINE = ["BERTH_URL", "BERTH_KEY", "BERTH_TENANT", "BERTH_CONTEXT"];

/** Settings of earlier releases, and what replaced them. */
const RENAMED: Readonly<Record<string, string>> = {
  BERTH_PROXY_URL: "HTTP_PROXY and HTTPS_PROXY",
  BERTH_NO_PROXY: "NO_PROXY",
  BERTH_PLUGIN_NETWORK: "BERTH_EGRESS (open for bridge, or none)",
};

/** A message has no room for all of them. */
const SUGGESTED_MAX = 3;

/**
 * A misspelt setting is an error too, because it would silently do nothing. Its value is not shown: it may be a
 * secret. `BERTH_TEST_*` belongs to the tests.
 */
export function unknownNames(env: Env): string[] {
  const files = Object.entries<Setting<unknown>>(SETTINGS).flatMap(([name, { secret: isSecret }]) =>
    isSecret ? [`${name}_FILE`] : [],
  );
  const others = [...files, ...OF_IMAGE_BUILDS, ...OF_THE_COMMAND_LINE];
  return Object.keys(env)
    .filter((name) => name.startsWith("BERTH_") && !name.startsWith("BERTH_TEST_"))
    .filter((name) => !(name in SETTINGS) && !others.includes(name))
    .map((name) => {
      const now = Object.hasOwn(RENAMED, name) ? RENAMED[name] : undefined;
      return now === undefined
        ? `${name} is not a setting of Berth; accepted: ${suggested(name, [...Object.keys(SETTINGS), ...files])}`
        : `${name} is no longer a setting of Berth; accepted: ${now}, which replaced it`;
    });
}

/** Compares names without `BERTH_`, which some have and some do not. */
function suggested(name: string, accepted: readonly string[]): string {
  const bare = (full: string) => full.replace(/^BERTH_/, "");
  const names = new Map(accepted.map((full) => [bare(full), full]));
  const distanceMax = Math.ceil(bare(name).length / 3);
  const near = nearest(bare(name), [...names.keys()], { max: SUGGESTED_MAX, distanceMax });
  const table = "the names in docs/reference/settings.md";
  return near.length === 0
    ? table
    : `${near.map((found) => names.get(found)).join(", ")}, or another of ${table}`;
}
