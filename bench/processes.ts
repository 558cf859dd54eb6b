/** Figures of the kernel about processes, and how to find those of a container. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";

// USER_HZ: the unit of /proc, the same on every Linux that Node runs on.
const TICKS_PER_SECOND = 100;
const run = promisify(execFile);

/** Runs a program to its end and resolves with its output; rejects with its stderr. */
export async function output(file: string, args: readonly string[]): Promise<string> {
  const { stdout } = await run(file, args, { maxBuffer: 16 << 20 });
  return stdout.trim();
}

/** CPU time of the process with all its threads, in µs; the kernel counts it in steps of 10 ms. */
export function cpuMicros(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

export function residentMb(pid: number): number {
  const kb = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return Number(kb) / 1024;
}

export interface ContainerProcesses {
  readonly shim: number;
  readonly init: number;
  readonly runner: number;
  readonly plugin: number;
}

/** The processes of the one running container with this label. */
export async function containerProcesses(label: string): Promise<ContainerProcesses> {
  const id = await output("docker", ["ps", "-q", "--filter", `label=${label}`]);
  if (!/^\w+$/.test(id))
    throw new Error(`expected one running container with ${label}, found: ${id || "none"}`);
  const init = Number(await output("docker", ["inspect", "-f", "{{.State.Pid}}", id]));
  const runner = childOf(init);
  const shim = Number(/PPid:\s+(\d+)/.exec(readFileSync(`/proc/${init}/status`, "utf8"))?.[1]);
  return { shim, init, runner, plugin: childOf(runner) };
}

function childOf(pid: number): number {
  const children = childrenOf(pid);
  const [child] = children;
  if (children.length !== 1 || child === undefined)
    throw new Error(`expected one child of process ${pid}, found: ${children}`);
  return child;
}

/** Oldest first; empty where the process has ended. */
export function childrenOf(pid: number): readonly number[] {
  const children = textOf(`/proc/${pid}/task/${pid}/children`).trim();
  return children === "" ? [] : children.split(" ").map(Number);
}

/** The process with all its threads; 0 where it has ended. */
export function threadsOf(pid: number): number {
  return Number(/^Threads:\s+(\d+)/m.exec(textOf(`/proc/${pid}/status`))?.[1] ?? 0);
}

function textOf(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return "";
  }
}
