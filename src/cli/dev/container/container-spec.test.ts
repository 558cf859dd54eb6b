import { expect, test } from "vitest";
import { RuntimeId } from "../../../domain/ids.ts";
import type { Limits, LimitsPolicy } from "../../../domain/limits.ts";
import { PROFILE_DEFAULTS } from "../../../runtime/settings.ts";
import { devContainerSpec } from "./container-spec.ts";

const MIB = 1 << 20;
const DEFAULTS: Limits = {
  memoryBytes: 256 * MIB,
  storageBytes: 64 * MIB,
  cpuMillis: 1_000,
  pidsMax: 128,
  concurrencyMax: 10,
  timeoutMs: 600_000,
  replicasMin: 1,
  replicasMax: 1,
};
const POLICY: LimitsPolicy = {
  memoryBytesFloor: 256 * MIB,
  ceiling: { ...DEFAULTS, memoryBytes: 1024 * MIB },
  defaults: DEFAULTS,
};

const spec = (memoryBytes?: number) =>
  devContainerSpec(
    {
      plugin: { pluginId: "acme/sound", entrypoint: "main", python: "3.12", memoryBytes },
      runtimeId: RuntimeId.parse("aaaaaaaaaa"),
      image: "sha256:abc",
      pluginFolder: "/home/me/sound",
      environmentFolder: "/state/environments/1",
      folder: "/state/run/aaaaaaaaaa",
    },
    { instanceId: "dv123456", profile: { ...PROFILE_DEFAULTS, timeZone: "Asia/Tokyo" }, limits: POLICY },
  );

test("a plugin in development has the container of an installed one, and its folder and environment are read-only", () => {
  expect(spec()).toMatchObject({
    image: "sha256:abc",
    user: "100000:100000",
    readOnlyRoot: true,
    capabilities: [],
    network: "berth-dv123456",
    workingDir: "/plugin",
    env: { TZ: "Asia/Tokyo", HOME: "/tmp" },
    resources: { pidsMax: 128, cpuMillis: 1_000 },
    tmpfs: [{ path: "/tmp", bytes: 64 * MIB, exec: false }],
    mounts: [
      { hostPath: "/state/run/aaaaaaaaaa", path: "/run/berth", readOnly: true },
      { hostPath: "/home/me/sound", path: "/plugin", readOnly: true },
      { hostPath: "/state/environments/1", path: "/opt/venv", readOnly: true },
    ],
  });
});

test("its memory is what the manifest asks for, within the operator's floor and ceiling", () => {
  const megabytes = (asked?: number) => spec(asked).resources.memoryBytes / MIB - 64 - 16;
  expect(megabytes(512 * MIB)).toBe(512);
  expect(megabytes(64 * MIB)).toBe(256);
  expect(megabytes()).toBe(256);
  expect(megabytes(4096 * MIB)).toBe(1024);
});

test("it is found again by the labels of its kind and state folder, and the key is not in it", () => {
  expect(spec().name).toBe("berth-dv123456-dev-aaaaaaaaaa");
  expect(spec().labels).toEqual({ "berth.instance": "dv123456", "berth.kind": "dev" });
  expect(Object.keys(spec().env).filter((name) => name.startsWith("REMOTE_"))).toEqual([]);
});
