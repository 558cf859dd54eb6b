import { expect, it } from "vitest";
import { DOCTOR_CHECKS } from "../../domain/doctor.ts";
import { RuntimeId } from "../../domain/ids.ts";
import { containerSpec } from "../launch/profile.ts";
import { PROFILE_DEFAULTS } from "../settings.ts";
import { judgeProbe } from "./judge.ts";
import { probePool } from "./probe-container.ts";

const MIB = 1 << 20;
const spec = containerSpec(probePool("an-image"), {
  identity: {
    instanceId: "abcd1234",
    runtimeId: RuntimeId.parse("aaaaaaaaaa"),
    slot: 0,
    generation: 1,
    folder: "/data/run/aaaaaaaaaa",
  },
  settings: PROFILE_DEFAULTS,
});

/** What the probe says where everything holds. */
const HELD: Readonly<Record<string, object>> = {
  user: { uid: 100_000, gid: 100_000 },
  capabilities: { held: false, sets: { CapEff: "0000000000000000" } },
  privileges: { noNewPrivileges: true },
  seccomp: { mode: 2, forbidden: true },
  root: { readOnly: true, written: [] },
  tmp: { bytes: 8 * MIB, files: 2047 },
  openFiles: { opened: 4096 },
  pids: { started: 30 },
  cpu: { usedSeconds: 0.21, seconds: 1.01, throttled: 9 },
  network: { gateway: "172.20.0.1", reached: [] },
  memory: { bytes: 66 * MIB, killed: true },
};

function judge(changes: Readonly<Record<string, object | undefined>> = {}, oomKilled = true) {
  const said = Object.entries({ ...HELD, ...changes }).flatMap(([check, found]) =>
    found === undefined ? [] : [JSON.stringify({ check, ...found })],
  );
  const checks = judgeProbe({ lines: ["not JSON", ...said], oomKilled }, spec);
  expect(checks.map(({ name }) => name)).toEqual([...DOCTOR_CHECKS]);
  return checks.filter(({ status }) => status !== "ok");
}

it("finds nothing if every limit holds", () => {
  expect(judge()).toEqual([]);
});

it.each([
  [
    "memory",
    "memory",
    { bytes: 144 * MIB, killed: false },
    /took 144 MiB and was not killed, allowed 72 MiB/,
  ],
  ["cpu", "cpu", { usedSeconds: 1.9, seconds: 1, throttled: 0 }, /used 1\.90 CPUs, allowed 0\.2/],
  ["pids", "pids", { started: 65 }, /65 processes started, allowed 32/],
  ["open_files", "openFiles", { opened: 4160 }, /4160 files open at once, allowed 4096/],
  ["tmp", "tmp", { bytes: 16 * MIB, files: 5 }, /16 MiB and 5 files went into \/tmp/],
  ["tmp", "tmp", { bytes: MIB, files: 4096 }, /4096 files went into \/tmp, allowed 8 MiB and 2048/],
  ["root", "root", { readOnly: false, written: ["/etc"] }, /writable: \/etc/],
  ["root", "root", { readOnly: false, written: [] }, /not mounted read-only/],
  ["user", "user", { uid: 0, gid: 0 }, /runs as 0:0, not as 100000:100000/],
  [
    "capabilities",
    "capabilities",
    { held: true, sets: { CapBnd: "00000000a80425fb" } },
    /CapBnd 00000000a80425fb/,
  ],
  ["privileges", "privileges", { noNewPrivileges: false }, /no-new-privileges is not set/],
  ["seccomp", "seccomp", { mode: 0, forbidden: false }, /no filter/],
  ["seccomp", "seccomp", { mode: 2, forbidden: false }, /lets keyctl through/],
  [
    "network",
    "network",
    { gateway: "172.20.0.1", reached: [{ host: "172.20.0.1", port: 5002, what: "Berth's own port" }] },
    /Berth's own port at 172\.20\.0\.1:5002/,
  ],
] as const)("%s fails if %s does not hold (%o)", (name, line, found, text) => {
  const [only, ...others] = judge({ [line]: found });
  expect(only).toMatchObject({ name, status: "failed", found: expect.stringMatching(text) });
  expect(only?.advice).not.toBe("");
  expect(others).toEqual([]);
});

it("answers unknown if a busy machine gave the processes less than the quota, or the probe reported nothing", () => {
  const busy = judge({ cpu: { usedSeconds: 0.1, seconds: 1, throttled: 0 } });
  expect(busy).toMatchObject([{ name: "cpu", status: "unknown" }]);
  expect(judge({ pids: undefined })).toMatchObject([{ name: "pids", status: "unknown" }]);
  expect(judge({ pids: { started: "many" } })).toMatchObject([{ name: "pids", status: "unknown" }]);
});

it("takes a kill of the whole container for memory as a limit that holds, and any other end as unknown", () => {
  expect(judge({ memory: undefined })).toEqual([]);
  expect(judge({ memory: undefined }, false)).toMatchObject([{ name: "memory", status: "unknown" }]);
});
