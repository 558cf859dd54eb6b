/** Judges the findings of the probe: for each limit whether it holds, what was found, and what to do. No I/O. */
import { z } from "zod";
import type { ContainerSpec } from "../../domain/container.ts";
import { DOCTOR_CHECKS, type DoctorCheck, type DoctorCheckName } from "../../domain/doctor.ts";

/** The lines of the probe. */
const FOUND = {
  user: z.object({ uid: z.int(), gid: z.int() }),
  capabilities: z.object({ held: z.boolean(), sets: z.record(z.string(), z.string()) }),
  privileges: z.object({ noNewPrivileges: z.boolean() }),
  seccomp: z.object({ mode: z.int(), forbidden: z.boolean().nullable() }),
  root: z.object({ readOnly: z.boolean(), written: z.array(z.string()) }),
  tmp: z.object({ bytes: z.int(), files: z.int() }),
  openFiles: z.object({ opened: z.int() }),
  pids: z.object({ started: z.int() }),
  cpu: z.object({ usedSeconds: z.number(), seconds: z.number(), throttled: z.int().nullable() }),
  network: z.object({
    gateway: z.string().nullable(),
    reached: z.array(z.object({ host: z.string(), port: z.int(), what: z.string() })),
  }),
  memory: z.object({ bytes: z.int(), killed: z.boolean() }),
} as const;
type Found = { readonly [K in keyof typeof FOUND]?: z.infer<(typeof FOUND)[K]> };

/** The output of a probe, and how it ended. */
export interface ProbeEnd {
  readonly lines: readonly string[];
  /** The kernel killed something in its container for memory. */
  readonly oomKilled: boolean;
}

const MIB = 1_048_576;
/** A quota is granted in slices, and the last slice may exceed it. */
const CPU_TOLERANCE = 1.4;

type Verdict = Omit<DoctorCheck, "name">;
type Judge = (found: Found, spec: ContainerSpec, end: ProbeEnd) => Verdict | undefined;

/** One check for each of `DOCTOR_CHECKS`; those that the probe did not reach are `unknown`. */
export function judgeProbe(end: ProbeEnd, spec: ContainerSpec): readonly DoctorCheck[] {
  const found = readLines(end.lines);
  return DOCTOR_CHECKS.map((name) => ({
    name,
    ...(JUDGES[name](found, spec, end) ?? {
      status: "unknown",
      found: "the probe ended before this check",
      advice: `the probe's last line was: ${lastLine(end.lines)}`,
    }),
  }));
}

const JUDGES: Readonly<Record<DoctorCheckName, Judge>> = {
  memory: ({ memory }, { resources }, { oomKilled }) => {
    const limit = `${mib(resources.memoryBytes)} of memory`;
    if (memory === undefined)
      return oomKilled ? ok(`the whole container was killed when it took more than ${limit}`) : undefined;
    if (memory.killed) return ok(`killed at ${mib(memory.bytes)}, allowed ${limit}`);
    return failed(
      `a process took ${mib(memory.bytes)} and was not killed, allowed ${limit}`,
      "give the kernel its memory controller, and count swap: on cgroup version 1 boot with " +
        "cgroup_enable=memory swapaccount=1, or turn swap off",
    );
  },
  cpu: ({ cpu }, { resources }) => {
    if (cpu === undefined) return undefined;
    const share = cpu.usedSeconds / cpu.seconds;
    const text = `two busy processes used ${share.toFixed(2)} CPUs, allowed ${resources.cpuMillis / 1000}`;
    if (share > (resources.cpuMillis / 1000) * CPU_TOLERANCE)
      return failed(text, "the kernel needs CFS bandwidth control (CONFIG_CFS_BANDWIDTH)");
    if (cpu.throttled === 0)
      return unknown(
        `${text}; the machine was too busy to give them more`,
        "run berth doctor on a quiet machine",
      );
    return ok(text);
  },
  pids: ({ pids }, { resources }) => {
    if (pids === undefined) return undefined;
    const text = `${pids.started} processes started, allowed ${resources.pidsMax}`;
    if (pids.started < resources.pidsMax) return ok(text);
    return failed(text, "give the Engine the pids controller (CONFIG_CGROUP_PIDS)");
  },
  open_files: ({ openFiles }, { resources }) => {
    if (openFiles === undefined) return undefined;
    const text = `${openFiles.opened} files open at once, allowed ${resources.openFilesMax}`;
    if (openFiles.opened <= resources.openFilesMax) return ok(text);
    return failed(text, "the Engine must set the ulimit nofile of a container");
  },
  tmp: ({ tmp }, { tmpfs: [expected] }) => {
    if (tmp === undefined || expected === undefined) return undefined;
    const text = `${mib(tmp.bytes)} and ${tmp.files} files went into /tmp, allowed ${mib(expected.bytes)} and ${expected.inodes}`;
    if (tmp.bytes <= expected.bytes && tmp.files <= expected.inodes) return ok(text);
    return failed(text, "the Engine must mount tmpfs with size and nr_inodes");
  },
  root: ({ root }) => {
    if (root === undefined) return undefined;
    if (root.readOnly && root.written.length === 0) return ok("nothing outside /tmp can be written");
    const where = root.written.length === 0 ? "the root is not mounted read-only" : root.written.join(", ");
    return failed(`writable: ${where}`, "the Engine must honour read-only containers (ReadonlyRootfs)");
  },
  user: ({ user }, spec) => {
    if (user === undefined) return undefined;
    const is = `${user.uid}:${user.gid}`;
    if (is === spec.user) return ok(`runs as ${is}`);
    return failed(
      `runs as ${is}, not as ${spec.user}`,
      "the Engine must run a container as the user that Berth asks for",
    );
  },
  capabilities: ({ capabilities }) => {
    if (capabilities === undefined) return undefined;
    if (!capabilities.held) return ok("none in any set");
    const sets = Object.entries(capabilities.sets).map(([name, bits]) => `${name} ${bits}`);
    return failed(`held: ${sets.join(", ")}`, "the Engine must drop all capabilities (CapDrop ALL)");
  },
  privileges: ({ privileges }) => {
    if (privileges === undefined) return undefined;
    if (privileges.noNewPrivileges) return ok("no process can gain any (no-new-privileges)");
    return failed(
      "a setuid file could give some: no-new-privileges is not set",
      "the Engine must honour the security option no-new-privileges",
    );
  },
  seccomp: ({ seccomp }) => judgeSeccomp(seccomp),
  network: ({ network }, spec) => judgeNetwork(network, spec),
};

function judgeSeccomp(seccomp: Found["seccomp"]): Verdict | undefined {
  if (seccomp === undefined) return undefined;
  const advice =
    "start the Engine with its own seccomp profile, on a kernel with CONFIG_SECCOMP_FILTER (docker info shows seccomp)";
  if (seccomp.mode !== 2) return failed("no filter of system calls", advice);
  if (seccomp.forbidden === false) return failed("a filter is set and lets keyctl through", advice);
  return ok(seccomp.forbidden === null ? "a filter is set" : "a filter is set and refuses keyctl");
}

function judgeNetwork(network: Found["network"], { network: name }: ContainerSpec): Verdict | undefined {
  if (network === undefined) return undefined;
  if (network.reached.length > 0) {
    const all = network.reached.map(({ host, port, what }) => `${what} at ${host}:${port}`);
    return failed(
      `a plugin reaches the host: ${all.join(", ")}`,
      "see docs/egress.md for what the rules of the plugins' network need, or set BERTH_EGRESS=none where no plugin needs a network",
    );
  }
  return ok(name === "none" ? "no network" : "no address of the host that the probe tried answers");
}

function readLines(lines: readonly string[]): Found {
  const found: Record<string, unknown> = {};
  for (const line of lines) {
    const { check, ...rest } = parseLine(line);
    if (check === undefined) continue;
    const parsed = FOUND[check].safeParse(rest);
    if (parsed.success) found[check] = parsed.data;
  }
  return found;
}

const Line = z.looseObject({ check: z.enum(Object.keys(FOUND) as (keyof typeof FOUND)[]) });

function parseLine(line: string): { readonly check?: keyof typeof FOUND } {
  try {
    return Line.safeParse(JSON.parse(line)).data ?? {};
  } catch {
    return {};
  }
}

function lastLine(lines: readonly string[]): string {
  return lines.at(-1)?.slice(0, 200) ?? "(none)";
}

function ok(found: string): Verdict {
  return { status: "ok", found };
}

function failed(found: string, advice: string): Verdict {
  return { status: "failed", found, advice };
}

function unknown(found: string, advice: string): Verdict {
  return { status: "unknown", found, advice };
}

function mib(bytes: number): string {
  return `${(bytes / MIB).toFixed(0)} MiB`;
}
