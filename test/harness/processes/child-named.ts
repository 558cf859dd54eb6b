import { readdirSync, readFileSync } from "node:fs";

/** Children by command name, of a process that may have several. */
export function childNamed(pid: number, name: string): number | undefined {
  return readdirSync(`/proc/${pid}/task`)
    .flatMap((thread) => readFileSync(`/proc/${pid}/task/${thread}/children`, "utf8").trim().split(" "))
    .filter((child) => child !== "")
    .map(Number)
    .find((child) => readFileSync(`/proc/${child}/comm`, "utf8").trim() === name);
}
