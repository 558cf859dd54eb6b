import { DAEMON_NAMES } from "../../src/config/daemon/names.ts";
import type { DaemonRule } from "../../src/config/daemon/rules.ts";

const HEADING = "## All names\n";

/** The page of the daemon's settings with its last section, the table of all names, generated from the code. */
export function withDaemonSettings(page: string): string {
  const start = page.indexOf(HEADING);
  if (start < 0) throw new Error(`the page has no heading ${HEADING}`);
  const rows = Object.entries(DAEMON_NAMES).map(([name, rule]) => `| \`${name}\` | ${meaningOf(rule)} |`);
  const lines = [
    HEADING,
    "<!-- Generated from src/config/daemon/names.ts by `npm run docs`. Do not edit. -->",
    "",
    "| name | use in Berth |",
    "| --- | --- |",
    ...rows,
    "",
  ];
  return page.slice(0, start) + lines.join("\n");
}

function meaningOf(rule: DaemonRule): string {
  switch (rule.does) {
    case "maps": {
      const settings = named(rule.to);
      return rule.unset === undefined ? settings : `${settings}; default \`${rule.unset}\``;
    }
    case "part":
      return `part of ${named(rule.of)}`;
    case "same":
      return "the same name";
    case "ignored":
      return `ignored: ${rule.why}`;
    case "refused":
      return `accepted only: ${rule.accepted}`;
    default:
      return rule satisfies never;
  }
}

function named(settings: readonly string[]): string {
  return settings.map((name) => `\`${name}\``).join(", ");
}
