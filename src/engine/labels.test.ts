import { expect, test } from "vitest";
import type { ContainerSpec } from "../domain/container.ts";
import { type BerthLabels, formatLabelFilter, formatLabels, parseLabels, specHash } from "./labels.ts";

const spec: ContainerSpec = {
  name: "berth-i-p-0-g1",
  image: "sha256:abc",
  labels: { a: "1" },
  command: ["run", "it"],
  env: { A: "1", B: "2" },
  workingDir: "/app",
  user: "100001:100001",
  resources: {
    memoryBytes: 1,
    cpuMillis: 2,
    pidsMax: 3,
    openFilesMax: 4,
    shmBytes: 5,
    cgroupParent: undefined,
  },
  mounts: [],
  tmpfs: [],
  readOnlyRoot: true,
  network: "none",
  capabilities: [],
  log: { bytesMax: 1, files: 3 },
};

test("labels read back as they were written, with or without the optional ones", () => {
  const full: BerthLabels = {
    instance: "abc123",
    kind: "runtime",
    tenant: "t",
    pool: "p",
    runtime: "r",
    imageKey: "k",
    specHash: "h",
    generation: 0,
  };
  expect(parseLabels(formatLabels(full))).toEqual(full);
  expect(formatLabels(full)).toMatchObject({
    "berth.instance": "abc123",
    "berth.image-key": "k",
    "berth.generation": "0",
  });
  expect(parseLabels(formatLabels({ instance: "abc123", kind: "build" }))).toEqual({
    instance: "abc123",
    kind: "build",
  });
});

test("labels that are not ours or cannot be read do not parse", () => {
  expect(parseLabels({})).toBeUndefined();
  expect(parseLabels({ "berth.instance": "a", "berth.kind": "teapot" })).toBeUndefined();
  expect(parseLabels({ "berth.instance": "", "berth.kind": "runtime" })).toBeUndefined();
  const odd = { "berth.instance": "a", "berth.kind": "runtime", "berth.generation": "-1" };
  expect(parseLabels(odd)).toBeUndefined();
});

test("a filter has only the labels that it was given", () => {
  expect(formatLabelFilter({ instance: "a", kind: "runtime" })).toEqual({
    "berth.instance": "a",
    "berth.kind": "runtime",
  });
});

test("the hash of a spec ignores its name, its labels and the order of keys", () => {
  const hash = specHash(spec);
  expect(hash).toMatch(/^[0-9a-f]{64}$/);
  expect(specHash({ ...spec, name: "other", labels: {} })).toBe(hash);
  expect(specHash({ ...spec, env: { B: "2", A: "1" } })).toBe(hash);
});

test("the hash of a spec changes with anything that changes the container", () => {
  const changes: Partial<ContainerSpec>[] = [
    { image: "sha256:abd" },
    { command: ["it", "run"] },
    { env: { A: "1" } },
    { user: "0:0" },
    { resources: { ...spec.resources, pidsMax: 4 } },
    { resources: { ...spec.resources, cgroupParent: "berth" } },
    { mounts: [{ hostPath: "/a", path: "/b", readOnly: true }] },
    { readOnlyRoot: false },
    { network: "other" },
    { log: { bytesMax: 2, files: 3 } },
  ];
  const hashes = changes.map((change) => specHash({ ...spec, ...change }));
  expect(new Set([specHash(spec), ...hashes]).size).toBe(changes.length + 1);
});
