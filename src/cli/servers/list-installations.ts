/** `berth ps`: the plugins of a tenant. */
import { z } from "zod";
import type { Env } from "../../config/environment.ts";
import { openServer, type ServerOptions, tenantOf } from "./find-server.ts";
import { listAll } from "./pages.ts";

const Installation = z.looseObject({
  id: z.string(),
  plugin_id: z.string(),
  identifier: z.string(),
  state: z.string(),
  cause: z.object({ code: z.string() }).nullish(),
});

/** One line each, with the code of the cause where the state has one; or everything as JSON. */
export async function listInstallations(
  env: Env,
  { json, ...options }: ServerOptions & { readonly json: boolean },
): Promise<void> {
  const client = await openServer(env, options);
  const path = `/v1/tenants/${tenantOf(client.server)}/installations?declaration=no`;
  const all = await Array.fromAsync(listAll(client, path, Installation));
  if (json) return void process.stdout.write(`${JSON.stringify(all, null, 2)}\n`);
  const rows = all.map(({ id, plugin_id: plugin, identifier, state, cause }) => {
    const version = /:([^@]*)@/.exec(identifier)?.[1] ?? "";
    return [plugin, version, cause ? `${state} (${cause.code})` : state, id];
  });
  process.stdout.write(formatTable([["PLUGIN", "VERSION", "STATE", "ID"], ...rows]));
}

/** Columns as wide as their longest cell. */
function formatTable(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]?.map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0))) ?? [];
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join("  "));
  return lines.map((line) => `${line.trimEnd()}\n`).join("");
}
