import { HOST_CALL_TYPES, type HostCallType } from "../../src/domain/host-call.ts";
import { permissionText } from "../../src/domain/permission.ts";
import { HOST_CALLS } from "../../src/invocation/host-calls/table.ts";

const HEADING = "## Types\n";

/** The page of calls back with its last section, the table of all types, generated from the code. */
export function withHostCalls(page: string): string {
  const start = page.indexOf(HEADING);
  if (start < 0) throw new Error(`the page has no heading ${HEADING}`);
  const lines = [
    HEADING,
    "<!-- Generated from src/invocation/host-calls/table.ts by `npm run docs`. Do not edit. -->",
    "",
    "| type | what the manifest asks for | platform: `/inner/api/` and | Berth itself | answer |",
    "| --- | --- | --- | --- | --- |",
    ...HOST_CALL_TYPES.map(row),
    "",
  ];
  return page.slice(0, start) + lines.join("\n");
}

function row(type: HostCallType): string {
  const { needs: permission, platform, local, message } = HOST_CALLS[type];
  const needs = permission === undefined ? "nothing" : `\`${permissionText(permission)}\``;
  const path = platform === undefined ? "never" : `\`${platform.path}\``;
  const answer = message === "stream" ? "items" : "one";
  return `| \`${type}\` | ${needs} | ${path} | ${servedHere(local)} | ${answer} |`;
}

function servedHere(local: (typeof HOST_CALLS)[HostCallType]["local"]): string {
  if (local === undefined) return "an error";
  return local.kind === "storage" ? "the plugin's storage" : `\`${local.action}\` of a plugin`;
}
