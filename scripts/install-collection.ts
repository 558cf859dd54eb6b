/**
 * Packs, uploads and installs every plugin in a folder, at any depth, and waits until it is ready:
 * `node scripts/install-collection.ts FOLDER [NAME]...`, where each NAME is a plugin's folder below FOLDER. Starts a
 * Berth with the settings of the environment; each plugin is uninstalled before the next one. Prints a line for each,
 * with its seconds and, where it failed, the cause; exits with 1 where one failed.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { startBerth } from "../src/app.ts";
import { createClient } from "../src/cli/client.ts";
import { acceptInstall, followTask, type TaskProgress, uploadPackage } from "../src/cli/requests.ts";
import { abortedBy, nextSignal, stopBerth } from "../src/cli/serve.ts";
import { readConfig } from "../src/config.ts";
import { createLog } from "../src/observe/log.ts";
import { packFolder } from "../src/packages/archive/pack.ts";
import { pluginFolders } from "./plugin-folders.ts";

const [collection, ...names] = process.argv.slice(2);
if (collection === undefined) {
  process.stderr.write("usage: node scripts/install-collection.ts FOLDER [NAME]...\n");
  process.exit(2);
}
const config = readConfig({ BERTH_PORT: "0", ...process.env });
const log = createLog({ level: "error" });
const signalled = nextSignal();
const berth = await startBerth({ config, log, role: "serve", signal: abortedBy(signalled) });
const client = createClient({
  url: berth.url,
  key: berth.adminKey,
  timeoutMs: 60_000,
  advice: "see its log",
});
const work = await mkdtemp(join(tmpdir(), "berth-collection-"));
try {
  process.exitCode = (await Promise.race([installAll(collection), signalled])) === true ? 0 : 1;
} finally {
  await rm(work, { recursive: true });
  await stopBerth(berth, log, { removeContainers: true });
}

/** Whether there was at least one, and each became ready. */
async function installAll(root: string): Promise<boolean> {
  let [ready, failed] = [0, 0];
  for await (const folder of pluginFolders(root)) {
    const name = relative(root, folder);
    if (names.length > 0 && !names.includes(name)) continue;
    const startedAt = performance.now();
    const problem = await install(folder).catch((error: unknown) => String(error));
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    if (problem === undefined) ready += 1;
    else failed += 1;
    print(`${problem === undefined ? "ready " : "FAILED"} ${seconds.padStart(6)} s  ${name}`);
    if (problem !== undefined) print(problem.replace(/^/gm, "    "));
  }
  print(`${ready} ready, ${failed} failed`);
  return ready > 0 && failed === 0;
}

/** The cause where it did not become ready. */
async function install(folder: string): Promise<string | undefined> {
  const { output } = await packFolder({ folder, output: join(work, "p.difypkg") });
  const { identifier } = await uploadPackage(client, output);
  const tenant = randomUUID();
  const { task, installation } = await acceptInstall(client, tenant, identifier);
  const end = await endOf(tenant, task.id);
  await uninstall(tenant, installation.id);
  if (end.state === "ready") return undefined;
  return `${end.state} at ${end.step ?? "the start"}: ${end.cause?.code}: ${end.cause?.message}`;
}

async function uninstall(tenant: string, id: string): Promise<void> {
  const answer = await client.ask("DELETE", `/v1/tenants/${tenant}/installations/${id}`);
  const { task } = answer as { task: { id: string } };
  await endOf(tenant, task.id);
}

/** The end of the task, with its last step. */
async function endOf(tenant: string, taskId: string): Promise<TaskProgress> {
  let last: string | undefined;
  for await (const event of followTask(client, tenant, taskId)) {
    if (event.name === "end") return last === undefined ? event : { ...event, step: last };
    // The state at the end is a step, too.
    if (event.step !== "failed") last = event.step ?? last;
  }
  throw new Error("the task has no end");
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
