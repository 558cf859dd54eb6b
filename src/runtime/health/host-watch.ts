/** Measures with a timer whether this process and its host have time to work, to tell a silent plugin from a starved host. */
import { readFile } from "node:fs/promises";
import { type Clock, repeat } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { HostStrain, type HostStrainRules } from "./host-strain.ts";

/** Microseconds since the host started in which something waited for a processor; undefined if the host does not say. */
export type ReadPressure = () => Promise<number | undefined>;

const BEAT_MS = 250;

export interface HostWatch extends AsyncDisposable {
  readonly strain: HostStrain;
}

export function startHostWatch(
  { clock, readPressure }: { readonly clock: Clock; readonly readPressure: ReadPressure },
  rules: HostStrainRules,
): HostWatch {
  const scope = new Scope();
  const strain = new HostStrain(rules);
  const look = async () => {
    strain.beat(clock.now(), BEAT_MS);
    const totalUs = await readPressure();
    if (totalUs !== undefined) strain.stalled(clock.now(), totalUs);
  };
  const watching = repeat({ clock, everyMs: BEAT_MS }, look, scope.signal);
  scope.add(() => watching);
  return { strain, [Symbol.asyncDispose]: () => scope.close() };
}

/** Linux has this since 4.20, unless it was booted without. */
export async function readCpuPressure(path = "/proc/pressure/cpu"): Promise<number | undefined> {
  try {
    const total = /^some .*\btotal=(\d+)/m.exec(await readFile(path, "utf8"))?.[1];
    return total === undefined ? undefined : Number(total);
  } catch {
    return undefined;
  }
}
