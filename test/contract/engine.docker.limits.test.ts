/** The limits of a ContainerSpec as the kernel enforces them: read or exceeded from inside the container. */
import { chmod, glob, mkdtemp, rm, rmdir, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openTestEngine, type TestEngine, within } from "../harness/rigs/test-engine.ts";

const MIB = 1 << 20;
let t: TestEngine;
let folder: string;
let id: string;
let cgroup: "1" | "2";

beforeAll(async () => {
  t = await openTestEngine();
  folder = await mkdtemp(join(tmpdir(), "berth-limits-"));
  await chmod(folder, 0o755);
  await writeFile(join(folder, "file"), "from the host", { mode: 0o644 });
  cgroup = (await t.engine.info(within())).cgroupVersion;
  id = await t.run({
    user: "100123:100123",
    readOnlyRoot: true,
    env: { PATH: "/bin", HOME: "/tmp" },
    workingDir: "/tmp",
    resources: {
      memoryBytes: 48 * MIB,
      cpuMillis: 500,
      pidsMax: 20,
      openFilesMax: 77,
      shmBytes: 4 * MIB,
      cgroupParent: undefined,
    },
    tmpfs: [{ path: "/tmp", bytes: 2 * MIB, inodes: 64, exec: false }],
    mounts: [{ hostPath: folder, path: "/run/berth", readOnly: true }],
  });
});
afterAll(async () => {
  await t[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

const shell = (line: string) => t.shell(id, line, { user: "100123:100123" });

describe("a limited container", () => {
  test("has its memory limit and no swap", async () => {
    const v1 = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes";
    const v2 = "cat /sys/fs/cgroup/memory.max";
    expect(await shell(cgroup === "1" ? v1 : v2)).toBe(String(48 * MIB));
    const { body } = await t.client.call({ method: "GET", path: `/containers/${id}/json` }, within());
    expect(body).toMatchObject({ HostConfig: { MemorySwap: 48 * MIB, Init: true, AutoRemove: false } });
  });

  test("has half a CPU and its limit of processes", async () => {
    const [cpu, pids] =
      cgroup === "1"
        ? [
            "cat /sys/fs/cgroup/cpu/cpu.cfs_quota_us /sys/fs/cgroup/cpu/cpu.cfs_period_us",
            "cat /sys/fs/cgroup/pids/pids.max",
          ]
        : ["tr ' ' '\\n' < /sys/fs/cgroup/cpu.max", "cat /sys/fs/cgroup/pids.max"];
    const [quota, period] = (await shell(cpu)).split("\n").map(Number);
    expect((quota ?? 0) / (period ?? 1)).toBe(0.5);
    expect(await shell(pids)).toBe("20");
  });

  test("cannot start more processes than its limit", async () => {
    await expect(shell("for i in $(seq 40); do sleep 1 & done; wait")).rejects.toThrow(/fork|Resource/);
  });

  test("has its limit of open files, and no core dumps", async () => {
    expect(await shell("ulimit -Hn; ulimit -Sn; ulimit -c")).toBe("77\n77\n0");
  });

  test("has no capability, cannot gain one, and runs behind a seccomp filter", async () => {
    const status = await shell("cat /proc/self/status");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"])
      expect(status).toMatch(new RegExp(`${set}:\\s0{16}`));
    expect(status).toMatch(/NoNewPrivs:\s1/);
    expect(status).toMatch(/Seccomp:\s2/);
    expect(await t.shell(id, "grep CapEff /proc/self/status")).toMatch(/0{16}/);
  });

  test("cannot write to its root or to the host's folder, which it can read", async () => {
    await expect(t.shell(id, "touch /data/x")).rejects.toThrow(/Read-only file system/);
    await expect(t.shell(id, "touch /run/berth/x")).rejects.toThrow(/Read-only file system/);
    expect(await shell("cat /run/berth/file")).toBe("from the host");
  });

  test("has a /tmp that is bounded in size and in files and that executes nothing", async () => {
    expect(await shell("grep ' /tmp ' /proc/mounts")).toMatch(/nosuid,nodev,noexec.*nr_inodes=64/);
    await expect(shell("dd if=/dev/zero of=/tmp/big bs=1M count=3")).rejects.toThrow(/No space left/);
    await shell("rm -f /tmp/big");
    await expect(shell("for i in $(seq 100); do : > /tmp/f$i; done")).rejects.toThrow(/No space left/);
    await shell("rm -f /tmp/f*");
    await shell("cat /bin/busybox > /tmp/sh; chmod 755 /tmp/sh");
    await expect(shell("/tmp/sh echo hello")).rejects.toThrow(/Permission denied/);
    await shell("rm -f /tmp/sh");
  });

  test("has a /dev/shm that is bounded in size", async () => {
    await expect(shell("dd if=/dev/zero of=/dev/shm/big bs=1M count=5")).rejects.toThrow(/No space left/);
    expect(Number(await shell("stat -c %s /dev/shm/big"))).toBeLessThanOrEqual(4 * MIB);
    await shell("rm /dev/shm/big");
  });

  test("runs as its user under a separate init, without the host's environment", async () => {
    expect(await shell("id -u; id -g")).toBe("100123\n100123");
    expect(await shell("tr '\\0' ' ' < /proc/1/cmdline")).toMatch(/init -- \/bin\/sleep 600/);
    expect((await shell("env | awk -F= '{print $1}'")).split("\n").sort()).toEqual(
      ["HOME", "HOSTNAME", "PATH", "PWD", "SHLVL"].sort(),
    );
  });

  test("has no network except loopback", async () => {
    expect(await shell("ls /sys/class/net")).toBe("lo");
  });
});

test("the kernel applies limits that are changed while a container runs, without swap", async () => {
  const made = await t.run();
  const resources = { memoryBytes: 64 * MIB, cpuMillis: 250, pidsMax: 31 };
  await t.engine.updateContainer(made, resources, within());
  const files =
    cgroup === "1"
      ? ["memory/memory.limit_in_bytes", "pids/pids.max", "cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"]
      : ["memory.max", "pids.max", "cpu.max"];
  const read = await t.shell(made, `cd /sys/fs/cgroup; cat ${files.join(" ")}`);
  const [memory, pids, quota, period] = read.split(/\s+/).map(Number);
  expect({ memory, pids, cpus: (quota ?? 0) / (period ?? 1) }).toEqual({
    memory: 64 * MIB,
    pids: 31,
    cpus: 0.25,
  });
  const { body } = await t.client.call({ method: "GET", path: `/containers/${made}/json` }, within());
  expect(body).toMatchObject({ HostConfig: { MemorySwap: 64 * MIB }, State: { Running: true } });
});

test("a container with a CPU limit above the machine's own CPUs runs", async () => {
  const made = await t.run({ resources: { ...t.spec().resources, cpuMillis: 1_000_000 } });
  expect(await t.engine.findContainer(made, within())).toMatchObject({ phase: "running" });
});

test("a host folder that does not exist is refused and not created", async () => {
  const hostPath = join(folder, "missing");
  const made = t.engine.createContainer(
    t.spec({ mounts: [{ hostPath, path: "/x", readOnly: true }] }),
    within(),
  );
  await expect(made).rejects.toMatchObject({ code: "engine_refused" });
});

test("a container is placed under its cgroup parent", async () => {
  const resources = { ...t.spec().resources, cgroupParent: t.name("parent") };
  const made = await t.run({ resources });
  const { body } = await t.client.call({ method: "GET", path: `/containers/${made}/json` }, within());
  expect(body).toMatchObject({ HostConfig: { CgroupParent: resources.cgroupParent } });
  await t.engine.removeContainer(made, within());
  // The engine leaves the parent behind, empty.
  for await (const left of glob(`/sys/fs/cgroup/{,*/}${resources.cgroupParent}`)) await rmdir(left);
});

test("two containers reach each other only on a network that allows traffic between them", async () => {
  const reach = async (betweenContainers: boolean) => {
    const network = t.name("net");
    const bridge = `bt${t.labels["berth.test"]}${betweenContainers ? "y" : "n"}`;
    await t.engine.ensureNetwork({ name: network, bridge, labels: t.labels, betweenContainers }, within());
    const server = await t.run({
      network,
      command: ["/bin/sh", "-c", "while true; do echo hi | nc -l -p 7000; done"],
    });
    const { body } = await t.client.call({ method: "GET", path: `/containers/${server}/json` }, within());
    const address =
      JSON.stringify(body).match(new RegExp(`"${network}":.*?"IPAddress":"([0-9.]+)"`))?.[1] ?? "";
    expect(address).toMatch(/^\d+\./);
    // The server is known to listen before anybody else asks.
    await t.shell(server, "until nc -w 1 127.0.0.1 7000 < /dev/null | grep -q hi; do usleep 50000; done");
    const client = await t.run({ network });
    const line = `for i in 1 2 3; do nc -w 1 ${address} 7000 < /dev/null | grep -q hi && echo reached && exit; done; echo shut`;
    const answer = await t.shell(client, line);
    for (const container of [server, client]) await t.engine.removeContainer(container, within());
    await t.engine.removeNetwork(network, within());
    return answer;
  };
  expect(await reach(false)).toBe("shut");
  expect(await reach(true)).toBe("reached");
});
