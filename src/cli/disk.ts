/** `berth disk` and `berth gc`: disk use, and removing unreferenced data. */
import { z } from "zod";
import type { Config } from "../config.ts";
import { openInstance } from "./instance.ts";

const Area = z.object({
  kind: z.string(),
  bytes: z.number(),
  budget_bytes: z.number().nullable(),
  reclaimable_bytes: z.number(),
});
const Report = z.object({ areas: z.array(Area) });
const Thing = z.object({ kind: z.string(), what: z.string(), bytes: z.number(), reason: z.string() });
const Collection = z.object({
  id: z.string(),
  finished_at: z.string().nullable(),
  bytes: z.number().nullable(),
  taken: z.array(Thing),
  left: z.array(Thing),
});

/** A worker may take 50 s to answer. */
const WAIT_MS = 90_000;

/** Prints one line per kind. Throws the error that the instance answers with. */
export async function showDisk(config: Config): Promise<void> {
  const { areas } = Report.parse(await (await openInstance(config, WAIT_MS)).ask("GET", "/v1/disk"));
  const lines = areas.map(({ kind, bytes, budget_bytes, reclaimable_bytes }) => [
    ...[kind, mib(bytes), budget_bytes === null ? "-" : mib(budget_bytes), mib(reclaimable_bytes)],
  ]);
  for (const [kind = "", ...columns] of [["", "MiB", "budget", "removable"], ...lines])
    say(`${kind.padEnd(14)}${columns.map((text) => text.padStart(12)).join("")}`);
}

/** Prints one line for each thing that is, or would be, removed. Throws the error that the instance answers with. */
export async function collectDisk(config: Config, { dryRun }: { readonly dryRun: boolean }): Promise<void> {
  const instance = await openInstance(config, WAIT_MS);
  const run = Collection.parse(await instance.ask("POST", `/v1/disk/gc?dryRun=${dryRun}`));
  for (const { kind, what, bytes, reason } of run.taken)
    say(`${dryRun ? "would remove" : "removed"}: ${kind}  ${what}  ${mib(bytes)} MiB  (${reason})`);
  for (const { kind, what, reason } of run.left) say(`not removed: ${kind}  ${what}  (${reason})`);
  if (run.finished_at === null) say(`still running: GET /v1/disk/gc/${run.id} shows the result`);
  else say(`${mib(run.bytes ?? 0)} MiB ${dryRun ? "would be freed" : "freed"}`);
}

function mib(bytes: number): string {
  return (bytes / 1_048_576).toFixed(1);
}

function say(text: string): void {
  process.stdout.write(`${text}\n`);
}
