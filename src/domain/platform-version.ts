/** Versions of the platform: what a manifest's `minimum_dify_version` names. */

const VERSION =
  /^v?(\d{1,6}(?:\.\d{1,6}){0,3})(?:[-._]?(dev|alpha|a|beta|b|rc|c|pre|post|fix)[-._]?(\d{0,6})[.\d]*)?$/i;

export interface PlatformVersion {
  readonly numbers: readonly number[];
  /** Negative before the release itself, positive after it. */
  readonly stage: number;
  readonly stageNumber: number;
}

const STAGES: Readonly<Record<string, number>> = {
  dev: -4,
  alpha: -3,
  a: -3,
  beta: -2,
  b: -2,
  rc: -1,
  c: -1,
  pre: -1,
  post: 1,
  fix: 1,
};

/** `1.9.0`, `v1.10`, `1.11.0-rc1`; undefined for anything else. */
export function parsePlatformVersion(text: string): PlatformVersion | undefined {
  const [, numbers, stage, stageNumber] = VERSION.exec(text.trim()) ?? [];
  if (numbers === undefined) return undefined;
  return {
    numbers: numbers.split(".").map(Number),
    stage: stage === undefined ? 0 : (STAGES[stage.toLowerCase()] ?? 0),
    stageNumber: Number(stageNumber ?? 0),
  };
}

/** Negative where `a` is older than `b`, positive where it is newer. */
export function comparePlatformVersions(a: PlatformVersion, b: PlatformVersion): number {
  const length = Math.max(a.numbers.length, b.numbers.length);
  for (let place = 0; place < length; place += 1) {
    const difference = (a.numbers[place] ?? 0) - (b.numbers[place] ?? 0);
    if (difference !== 0) return difference;
  }
  return a.stage - b.stage || a.stageNumber - b.stageNumber;
}

/** What the manifest's `meta.minimum_dify_version` says; undefined where it says nothing. */
export function minimumPlatformVersion(declaration: Readonly<Record<string, unknown>>): string | undefined {
  const meta = declaration["meta"];
  const minimum: unknown =
    typeof meta === "object" && meta !== null ? Reflect.get(meta, "minimum_dify_version") : undefined;
  return typeof minimum === "string" && minimum !== "" ? minimum : undefined;
}

/**
 * One sentence for a package that asks for a newer platform than the operator has, or whose requirement cannot be read;
 * nothing where the operator has not set the platform's version.
 */
export function platformWarnings(
  declaration: Readonly<Record<string, unknown>>,
  platform: string | undefined,
): readonly string[] {
  const minimum = minimumPlatformVersion(declaration);
  const here = platform === undefined ? undefined : parsePlatformVersion(platform);
  if (minimum === undefined || here === undefined) return [];
  const wanted = parsePlatformVersion(minimum);
  const field = "meta.minimum_dify_version";
  if (wanted === undefined)
    return [
      `${field}: is ${JSON.stringify(minimum)}, which is not a version; it is not compared with the platform's version`,
    ];
  if (comparePlatformVersions(here, wanted) >= 0) return [];
  return [`${field}: is ${minimum}, and the platform is ${platform}: the plugin may not work with it`];
}
