/**
 * Runs the guard: one small container per Berth and host, from the runtime image, in the host's network, with the one
 * capability to set its rules. Berth itself needs no privilege. Guarantees: the rules are in the kernel, so they apply
 * while Berth or the guard is away; only `removeGuard` removes them.
 */
import { createHash } from "node:crypto";
import { chmod, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ContainerSpec, ContainerState } from "../domain/container.ts";
import { Fault, isFault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";
import { formatLabels, parseLabels, specHash } from "../engine/labels.ts";
import { bridgePrefix } from "../runtime/launch/profile.ts";
import { listRuntimeImages } from "../runtime/launch/runtime-image.ts";
import type { Clock } from "../util/clock.ts";
import { replaceFile } from "../util/replace-file.ts";
import type { EgressSettings } from "./settings.ts";

export interface GuardDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly instanceId: string;
  /** Absolute, and at the same path for the engine. */
  readonly dataFolder: string;
  /** Folder of the guard's program. */
  readonly programFolder: string;
  readonly settings: EgressSettings;
}

/** `waiting`: there is no runtime image yet to run it from. */
export type GuardState =
  | { readonly is: "guarding"; readonly containerId: string }
  | { readonly is: "waiting" }
  | { readonly is: "refused"; readonly why: string };

const INSIDE = "/berth";
const MIB = 1 << 20;
const TIMES = { readyMs: 60_000, pollMs: 50, endMs: 10_000 };
/** A guard that has run for so long has not failed: it reports a failure within its first second. */
const SETTLED_MS = 15_000;

const GuardLine = z.object({ op: z.string(), why: z.string().optional() });

export function guardFolder(dataFolder: string): string {
  return join(dataFolder, "egress");
}

/**
 * Starts the guard unless it runs as desired. Several workers of one host may do so at once. Throws what the engine
 * refused, and `engine_unavailable` if the guard is not ready within 60 s.
 */
export async function ensureGuard(deps: GuardDeps, signal: AbortSignal): Promise<GuardState> {
  const digest = await placeProgram(deps);
  const until = deps.clock.now() + TIMES.readyMs;
  for (;;) {
    try {
      return await startGuard(deps, digest, signal);
    } catch (error) {
      // Another worker made or removed it between two of our requests. A name is taken before it can be found.
      const isRace = isFault(error, "conflict") || isFault(error, "not_found");
      if (!isRace || deps.clock.now() > until) throw error;
      await deps.clock.sleep(TIMES.pollMs, signal);
    }
  }
}

async function startGuard(deps: GuardDeps, digest: string, signal: AbortSignal): Promise<GuardState> {
  const { engine } = deps;
  const found = await engine.findContainer(guardName(deps.instanceId), signal);
  // A plugin's image would work too, but no code of a plugin may run with rights over the host.
  const [image] = await listRuntimeImages(engine, signal);
  if (image === undefined) return { is: "waiting" };
  const spec = guardSpec(deps, { image: image.id, digest });
  const isWanted = found !== undefined && isSame(found, spec);
  if (isWanted && found.phase === "running") return await ready(deps, found.id, signal);
  // One that another worker has made but not started yet is as good as our own.
  const isMade = isWanted && found.phase === "created";
  if (found !== undefined && !isMade) await engine.removeContainer(found.id, signal);
  try {
    const id = isMade ? found.id : await engine.createContainer(spec, signal);
    await engine.startContainer(id, signal);
    return await ready(deps, id, signal);
  } catch (error) {
    if (isFault(error, "engine_refused")) return { is: "refused", why: error.message };
    throw error;
  }
}

/** Removes the rules, the container and its folder. */
export async function removeGuard(
  {
    engine,
    clock,
    instanceId,
    dataFolder,
  }: Pick<GuardDeps, "engine" | "clock" | "instanceId" | "dataFolder">,
  signal: AbortSignal,
): Promise<void> {
  const folder = guardFolder(dataFolder);
  const found = await engine.findContainer(guardName(instanceId), signal);
  if (found !== undefined) {
    await writeFile(join(folder, "end"), "").catch(() => undefined);
    const until = clock.now() + TIMES.endMs;
    while ((await engine.findContainer(found.id, signal))?.phase === "running" && clock.now() < until)
      await clock.sleep(TIMES.pollMs, signal);
    await engine.removeContainer(found.id, signal);
  }
  await rm(folder, { recursive: true, force: true });
}

function guardName(instanceId: string): string {
  return `berth-${instanceId}-egress`;
}

function isSame(found: ContainerState, spec: ContainerSpec): boolean {
  return parseLabels(found.labels)?.specHash === specHash(spec);
}

/** Copies the program to a folder that the engine sees; resolves with its digest. */
async function placeProgram({ programFolder, dataFolder }: GuardDeps): Promise<string> {
  const folder = guardFolder(dataFolder);
  for (const made of [folder, join(folder, "lists")]) {
    await mkdir(made, { recursive: true });
    // The guard has no capability to override file modes, whatever the umask is.
    await chmod(made, 0o755);
  }
  await rm(join(folder, "end"), { force: true });
  const hash = createHash("sha256");
  for (const name of (await readdir(programFolder)).filter((one) => one.endsWith(".py")).sort()) {
    const content = await readFile(join(programFolder, name));
    hash.update(content);
    await replaceFile(join(folder, name), content);
  }
  return hash.digest("hex");
}

function guardSpec(
  { instanceId, dataFolder, settings }: GuardDeps,
  { image, digest }: { readonly image: string; readonly digest: string },
): ContainerSpec {
  const config = {
    table: `berth_${instanceId.slice(0, 8)}`,
    bridge: bridgePrefix(instanceId, "open"),
    listBridge: bridgePrefix(instanceId, "list"),
    allow: [...settings.allow, ...settings.proxies, ...settings.indexes],
    hosts: settings.hosts,
    reportSeconds: settings.reportMs / 1000,
    program: digest,
  };
  const spec: ContainerSpec = {
    name: guardName(instanceId),
    image,
    labels: {},
    command: ["/usr/local/bin/python3", "-I", "-S", "-B", `${INSIDE}/guard.py`],
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LANG: "C.UTF-8", BERTH_EGRESS: JSON.stringify(config) },
    workingDir: "/",
    user: "0:0",
    resources: {
      memoryBytes: 64 * MIB,
      cpuMillis: 500,
      pidsMax: 16,
      openFilesMax: 256,
      shmBytes: MIB,
      cgroupParent: undefined,
    },
    mounts: [{ hostPath: guardFolder(dataFolder), path: INSIDE, readOnly: true }],
    tmpfs: [],
    readOnlyRoot: true,
    network: "host",
    capabilities: ["NET_ADMIN"],
    log: { bytesMax: 4 * MIB, files: 3 },
  };
  const labels = formatLabels({ instance: instanceId, kind: "egress", specHash: specHash(spec) });
  return { ...spec, labels };
}

async function ready({ engine, clock }: GuardDeps, id: string, signal: AbortSignal): Promise<GuardState> {
  const until = clock.now() + TIMES.readyMs;
  for (;;) {
    const found = await engine.findContainer(id, signal);
    if (found === undefined) throw removed();
    const lines = await readLines(engine, id, signal);
    if (found.phase === "running") {
      const ranMs = clock.now() - (found.startedAt?.getTime() ?? clock.now());
      if (ranMs > SETTLED_MS || lines.some(({ op }) => op === "ready"))
        return { is: "guarding", containerId: id };
    } else if (found.phase !== "created") {
      const why = lines.find(({ op }) => op === "failed")?.why;
      // By force: another worker removed it to start another one.
      if (why === undefined && (found.exitCode === undefined || found.exitCode === 137)) throw removed();
      return { is: "refused", why: why ?? `its guard ended with exit code ${found.exitCode}` };
    }
    if (clock.now() > until)
      throw new Fault("engine_unavailable", "The guard of the plugins' network did not start in time.");
    await clock.sleep(TIMES.pollMs, signal);
  }
}

function removed(): Fault {
  return new Fault("conflict", "The guard of the plugins' network was removed.");
}

async function readLines(
  engine: Engine,
  id: string,
  signal: AbortSignal,
): Promise<readonly z.infer<typeof GuardLine>[]> {
  const lines: z.infer<typeof GuardLine>[] = [];
  for await (const { text, stream } of engine.logs(id, { follow: false, tail: 200 }, signal)) {
    const line = stream === "stdout" ? parseGuardLine(text) : undefined;
    if (line !== undefined) lines.push(line);
  }
  return lines;
}

function parseGuardLine(text: string): z.infer<typeof GuardLine> | undefined {
  try {
    return GuardLine.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}
