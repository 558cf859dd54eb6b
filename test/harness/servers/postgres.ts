import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, mkdir, mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Scope } from "../../../src/util/scope.ts";

const run = promisify(execFile);

/**
 * A throw-away PostgreSQL on a Unix socket, until the scope closes; the URL of its superuser. Tests share one
 * (`shared-postgres.ts`); only one that does harm to the server itself starts its own.
 */
export async function startServer(scope: Scope): Promise<string> {
  const bin = await findBinaries();
  const folder = await mkdtemp(join(tmpdir(), "berth-pg-"));
  scope.add(() => rm(folder, { recursive: true, force: true }));
  const owner = await ownerOfServer();
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
  const data = join(folder, "data");
  await run(join(bin, "initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"], {
    ...owner,
    cwd: folder,
  });
  // A time zone other than UTC, so that a test notices whoever relies on the server's.
  const settings = [
    "fsync=off",
    "listen_addresses=",
    `unix_socket_directories=${folder}`,
    "timezone=Asia/Kolkata",
    // Several processes of Berth at a time, each with its pool.
    "max_connections=300",
    "synchronous_commit=off",
    "full_page_writes=off",
    // Each database lives for seconds.
    "autovacuum=off",
  ];
  // A run that is killed takes its server along.
  const command = ["--pdeathsig", "INT", join(bin, "postgres"), "-D", data];
  const server = spawn("setpriv", [...command, ...settings.flatMap((setting) => ["-c", setting])], {
    ...owner,
    cwd: folder,
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = once(server, "exit");
  scope.add(async () => {
    server.kill("SIGINT");
    await exited;
  });
  let said = "";
  for await (const chunk of server.stderr) {
    said += String(chunk);
    if (said.includes("ready to accept connections")) break;
  }
  if (server.exitCode !== null) throw new Error(`postgres ended at its start: ${said}`);
  return `postgres://postgres@localhost/postgres?host=${encodeURIComponent(folder)}`;
}

export async function findBinaries(): Promise<string> {
  const root = "/usr/lib/postgresql";
  const versions = await readdir(root).catch(() => []);
  const [newest] = versions.sort((a, b) => Number(b) - Number(a));
  if (newest !== undefined) return join(root, newest, "bin");
  const { stdout } = await run("which", ["initdb"]);
  return join(stdout.trim(), "..");
}

/** The server refuses to run as root; then it runs as the user that its package made. */
export async function ownerOfServer(): Promise<{ uid: number; gid: number } | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const { stdout } = await run("id", ["-u", "postgres"]);
  const uid = Number(stdout);
  const home = await stat("/var/lib/postgresql").catch(() => undefined);
  return { uid, gid: home?.gid ?? uid };
}

/** A folder that goes away when disposed. */
export async function makeFolder(name: string): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await mkdtemp(join(tmpdir(), `berth-${name}-`));
  await mkdir(path, { recursive: true });
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }) };
}
