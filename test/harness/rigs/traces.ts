/** What a Berth has on this machine: everything that an install may leave behind. */
import { lstat, readdir } from "node:fs/promises";
import { request } from "node:http";
import { join, relative } from "node:path";
import { json } from "node:stream/consumers";
import type { Site } from "./site.ts";

export interface Traces {
  readonly containers: readonly string[];
  readonly images: readonly string[];
  readonly networks: readonly string[];
  readonly volumes: readonly string[];
  /** Files and folders in the data folder, what the queue's server keeps aside. */
  readonly paths: readonly string[];
  /** Rows of each table. */
  readonly rows: Readonly<Record<string, number>>;
  /** Of the files in `paths`. */
  readonly bytes: number;
}

/** Of a site on PostgreSQL; tables whose name matches `history` are left out. */
export async function readTraces(site: Site, history: RegExp): Promise<Traces> {
  const instance = String(
    (await site.rows("SELECT value FROM berth_meta WHERE key = 'instance_id'"))[0]?.["value"],
  );
  const soon = () => AbortSignal.timeout(60_000);
  const labels = { "berth.instance": instance };
  const { paths, bytes } = await readFolder(site.dataFolder);
  return {
    containers: (await site.engine.listContainers(labels, soon())).map(({ name }) => name).sort(),
    images: (await site.engine.listImages(labels, soon())).map(({ tags }) => tags.join()).sort(),
    networks: await namesOf("/networks", "Name", instance),
    volumes: await namesOf("/volumes", "Name", instance),
    paths,
    rows: await countRows(site, history),
    bytes,
  };
}

async function countRows(site: Site, history: RegExp): Promise<Record<string, number>> {
  const tables = await site.rows(
    "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename",
  );
  const counts: Record<string, number> = {};
  for (const { tablename } of tables) {
    const name = String(tablename);
    if (history.test(name)) continue;
    const [row] = await site.rows(`SELECT count(*)::int AS n FROM "${name}"`);
    counts[name] = Number(row?.["n"]);
  }
  return counts;
}

async function readFolder(root: string): Promise<{ paths: readonly string[]; bytes: number }> {
  const entries = await readdir(root, { recursive: true, withFileTypes: true });
  const paths: string[] = [];
  let bytes = 0;
  for (const entry of entries) {
    const path = relative(root, join(entry.parentPath, entry.name));
    if (path === "redis" || path.startsWith("redis/")) continue;
    const found = await lstat(join(root, path)).catch(() => undefined);
    if (found === undefined) continue;
    paths.push(path);
    if (found.isFile()) bytes += found.size;
  }
  return { paths: paths.sort(), bytes };
}

/** Asked of the engine itself: the contract has no words for networks and volumes that nobody remembers. */
async function namesOf(path: string, field: string, instance: string): Promise<readonly string[]> {
  const socketPath = process.env["BERTH_TEST_ENGINE_SOCKET"] ?? "/var/run/docker.sock";
  const answer = await new Promise<unknown>((resolve, reject) => {
    const asking = request({ socketPath, path }, (response) => resolve(json(response)));
    asking.on("error", reject).end();
  });
  const list = Array.isArray(answer) ? answer : (answer as { Volumes: readonly object[] | null }).Volumes;
  return (list ?? [])
    .map((one) => String(Reflect.get(one, field)))
    .filter((name) => name.includes(instance))
    .sort();
}
