import { readFile } from "node:fs/promises";
import type { BerthProcess } from "../rigs/berth.ts";

/** Memory of the process that is in RAM now. */
export async function rssBytes({ pid }: Pick<BerthProcess, "pid">): Promise<number> {
  const [, kb] = /^VmRSS:\s+(\d+) kB/m.exec(await readFile(`/proc/${pid}/status`, "utf8")) ?? [];
  return Number(kb) * 1024;
}
