import { randomBytes } from "node:crypto";
import { realpath } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config.ts";
import type { DoctorReport } from "../domain/doctor.ts";
import { startPluginNetwork } from "../egress/plugin-network.ts";
import type { Log } from "../observe/log.ts";
import { type DoctorDeps, examine, examineOnce } from "../runtime/doctor/doctor.ts";
import { cgroupParentFor } from "../runtime/launch/cgroup.ts";
import { prepareDataFolder } from "../store/data-folder.ts";
import { systemClock } from "../util/clock.ts";
import { Scope } from "../util/scope.ts";
import { type Base, openCaBundle } from "./base.ts";
import { beginDoctor, removeDoctorLeftovers } from "./doctor-leftovers.ts";
import { profileSettings } from "./settings.ts";
import { type NetworkSide, networkDeps, openEngine } from "./worker.ts";

const PROBE_FILE = join(import.meta.dirname, "../../runtime-images/python/probe.py");

/**
 * Checks in the background of a start whether the limits of plugins hold on this engine, and removes what killed
 * `berth doctor` commands left behind.
 */
export function startDoctor(base: Base, side: NetworkSide): void {
  const { config, log, scope, store, caBundle } = base;
  const { instanceId } = store;
  const stop = new AbortController();
  const run = async () => {
    const { dataFolder } = side.claim.holder;
    await removeDoctorLeftovers({ engine: side.engine, log, clock: systemClock, dataFolder }, stop.signal);
    if (config.settings.BERTH_DOCTOR === "off" || stop.signal.aborted) return;
    await examineOnce(doctorDeps({ config, log, side, instanceId, caBundle }), stop.signal);
  };
  const done = run();
  scope.add(async () => {
    stop.abort(new Error("Berth is stopping"));
    await done;
  });
}

/** The same on demand, whether Berth runs or not, on a network of its own, made and removed like that of plugins. */
export async function consultDoctor({ config, log }: { config: Config; log: Log }): Promise<DoctorReport> {
  await prepareDataFolder(config.dataFolder);
  await using scope = new Scope();
  const { engine, info } = await openEngine({ config, log, scope, starting: scope.signal });
  const left = { engine, log, clock: systemClock, dataFolder: await realpath(config.dataFolder) };
  await removeDoctorLeftovers(left, scope.signal);
  // Eight characters, like any instance id: names of bridges and tables have no room for more.
  const instanceId = `dr${randomBytes(3).toString("hex")}`;
  const caBundle = await openCaBundle(config, log);
  const folder = scope.use(await beginDoctor(left, instanceId, scope.signal)).path;
  const network = scope.use(
    await startPluginNetwork({
      ...networkDeps(config, { engine, log }),
      instanceId,
      // Beside a running Berth: its guard is not this one's.
      dataFolder: folder,
      store: { pools: { list: async () => [] }, egress: { list: async () => new Map() } },
      holder: instanceId,
    }),
  );
  scope.add(() => network.remove(AbortSignal.timeout(30_000)));
  const side = { engine: network.engine, info, network };
  return await examine(doctorDeps({ config, log, side, instanceId, caBundle }), scope.signal);
}

function doctorDeps({
  config,
  log,
  side: { engine, info, network },
  instanceId,
  caBundle,
}: Pick<Base, "config" | "log" | "caBundle"> & {
  readonly side: Pick<NetworkSide, "engine" | "info" | "network">;
  readonly instanceId: string;
}): DoctorDeps {
  return {
    engine,
    info,
    log,
    instanceId,
    dataFolder: config.dataFolder,
    probeFile: PROBE_FILE,
    profile: {
      ...profileSettings(config, caBundle),
      ...network.profile,
      cgroupParent: cgroupParentFor(info),
    },
    port: config.settings.BERTH_PORT,
  };
}
