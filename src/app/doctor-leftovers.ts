/**
 * `berth doctor` makes a network and a guard of its own. Before the first of them it sets a mark on the engine, and
 * removes it after the last. The mark names the process, so that a later command can remove what a killed one left, and
 * nothing of one that still runs.
 */
import { mkdir, readdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { toFault } from "../domain/fault.ts";
import { removeGuard } from "../egress/guard.ts";
import type { Engine, EngineMark } from "../engine/engine.ts";
import { formatLabelFilter, formatLabels, parseLabels } from "../engine/labels.ts";
import type { Log } from "../observe/log.ts";
import type { Clock } from "../util/clock.ts";
import { isRunning, markOwnProcess, readBootId, readPidNamespace } from "../util/process-mark.ts";

export interface DoctorLeftoversDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  /** Real path. */
  readonly dataFolder: string;
}

const DoctorProcess = z.object({
  pid: z.int().positive(),
  startTime: z.string(),
  bootId: z.string(),
  /** The namespace in which its pid is valid. */
  namespace: z.string(),
  startedAt: z.number(),
});

const FOLDER_PREFIX = "doctor-";
/** Far longer than a doctor runs; decides for processes that cannot be seen from here. */
const WORK_MS_MAX = 10 * 60_000;

/** A folder for one doctor. Dispose it last, after everything else that the doctor made is removed. */
export async function beginDoctor(
  { engine, clock, dataFolder }: DoctorLeftoversDeps,
  instanceId: string,
  signal: AbortSignal,
): Promise<AsyncDisposable & { readonly path: string }> {
  const path = join(dataFolder, `${FOLDER_PREFIX}${instanceId}`);
  const self = {
    ...(await markOwnProcess()),
    namespace: await readPidNamespace(),
    startedAt: clock.now(),
  };
  const labels = formatLabels({
    instance: instanceId,
    kind: "doctor",
    dataFolder: path,
    process: JSON.stringify(self satisfies z.infer<typeof DoctorProcess>),
  });
  const name = `berth-${instanceId}-doctor`;
  await engine.ensureMark({ name, labels }, signal);
  await mkdir(path);
  return {
    path,
    [Symbol.asyncDispose]: async () => {
      await rm(path, { recursive: true, force: true });
      await engine.removeMark(name, AbortSignal.timeout(30_000));
    },
  };
}

/** For every Berth on this engine. Never throws: a failure is logged, and the next run tries again. */
export async function removeDoctorLeftovers(deps: DoctorLeftoversDeps, signal: AbortSignal): Promise<void> {
  const { engine, log } = deps;
  const logFailure = (error: unknown) => {
    if (!signal.aborted) log.warn({ op: "doctor.leftover", ok: false, err: toFault(error) });
  };
  try {
    // Read before the marks: a doctor sets its mark before it makes its folder, and removes it after.
    const folders = await doctorFolders(deps.dataFolder);
    const marks = await engine.listMarks(formatLabelFilter({ kind: "doctor" }), signal);
    for (const mark of marks) await removeIfGone(deps, mark, signal).catch(logFailure);
    const marked = new Set(marks.map(({ labels }) => parseLabels(labels)?.dataFolder));
    for (const folder of folders.filter((path) => !marked.has(path)))
      await rm(folder, { recursive: true, force: true });
  } catch (error) {
    logFailure(error);
  }
}

/** Another Berth on this engine may have removed a mark, but cannot remove a folder of this one. */
async function doctorFolders(dataFolder: string): Promise<readonly string[]> {
  const names = await readdir(dataFolder);
  return names.filter((name) => name.startsWith(FOLDER_PREFIX)).map((name) => join(dataFolder, name));
}

async function removeIfGone(
  deps: DoctorLeftoversDeps,
  { name, labels }: EngineMark,
  signal: AbortSignal,
): Promise<void> {
  const { engine, clock, log } = deps;
  const { instance, dataFolder, process } = parseLabels(labels) ?? {};
  if (instance === undefined || !(await isGone(process, clock.now()))) return;
  await removeAll(deps, { instance, folder: dataFolder }, signal);
  await engine.removeMark(name, signal);
  log.info({ op: "doctor.leftover", ok: true, instance });
}

async function isGone(text: string | undefined, now: number): Promise<boolean> {
  const made = parseProcess(text);
  if (made === undefined) return false;
  if (made.bootId !== (await readBootId())) return true;
  if (made.namespace !== (await readPidNamespace())) return now - made.startedAt > WORK_MS_MAX;
  return !(await isRunning(made));
}

async function removeAll(
  deps: DoctorLeftoversDeps,
  { instance, folder }: { readonly instance: string; readonly folder: string | undefined },
  signal: AbortSignal,
): Promise<void> {
  const { engine, dataFolder } = deps;
  // The guard removes its rules as it ends. Where its folder is on another disk, the next guard does that.
  if (folder !== undefined) await removeGuard({ ...deps, instanceId: instance, dataFolder: folder }, signal);
  for (const { id } of await engine.listContainers(formatLabelFilter({ instance }), signal))
    await engine.removeContainer(id, signal);
  for (const network of await engine.listNetworks(formatLabelFilter({ instance, kind: "network" }), signal))
    await engine.removeNetwork(network, signal);
  if (folder !== undefined && dirname(folder) === dataFolder)
    await rm(folder, { recursive: true, force: true });
}

function parseProcess(text: string | undefined): z.infer<typeof DoctorProcess> | undefined {
  try {
    return DoctorProcess.safeParse(JSON.parse(text ?? "")).data;
  } catch {
    return undefined;
  }
}
