import type { Setting } from "../../src/config/kinds.ts";
import { SETTING_GROUPS } from "../../src/config/settings.ts";

const INTRODUCTION = `# Settings

All settings are environment variables. Berth checks them at start. If one is wrong or misspelt, it does not start and
lists every problem, for a misspelt name with the nearest names. An empty value counts as unset. All processes of one
Berth get the same settings ([processes.md](../processes.md)).

- Units are part of the names: \`_SECONDS\`, \`_DAYS\`, \`_MB\` (MiB), \`_PERCENT\`. \`_MAX\` marks an upper bound.
- A setting marked *secret* may be read from a file instead: \`DATABASE_URL_FILE=/run/secrets/database\`. Berth never
  prints its value.
- If \`SERVER_KEY\` is set, Berth also reads the settings of dify-plugin-daemon
  ([dify-settings.md](../dify-settings.md)).
`;

/** The page as it must be in the repository: one table for each group of the schema. */
export function settingsPage(): string {
  const groups = Object.entries(SETTING_GROUPS).map(([title, settings]) =>
    [
      `## ${title}`,
      "",
      "| setting | default | what it sets | accepted values |",
      "| --- | --- | --- | --- |",
      ...Object.entries(settings).map(([name, setting]) => row(name, setting)),
      "",
    ].join("\n"),
  );
  const origin = "<!-- Generated from src/config/settings.ts by `npm run docs`. Do not edit. -->";
  return [origin, INTRODUCTION, ...groups].join("\n");
}

function row(name: string, { default: fallback = "", about, accepted, secret }: Setting<unknown>): string {
  const shown = fallback === "" ? "" : `\`${fallback}\``;
  return `| \`${name}\`${secret ? " *secret*" : ""} | ${shown} | ${about} | ${accepted} |`;
}
