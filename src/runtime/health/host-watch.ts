/** Watches this process and its host with a timer, so that silence can be told from starvation. */
import { readFile } from "node:fs/promises";
import { type Clock, repeat } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { HostStrain, type HostStrainRules } from "./host-strain.ts";

/** Microseconds in which something waited for a processor since the host started; undefined where nobody knows. */
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

/** Linux tells since 4.20, unless it was started without it. */
export async function readCpuPressure(path = "/proc/pressure/cpu"): Promise<number | undefined> {
  try {
    const total = /^some .*\btotal=(\d+)/m.exec(await readFile(path, "utf8"))?.[1];
    return total === undefined ? undefined : Number(total);
  } catch {
    return undefined;
  }
}
