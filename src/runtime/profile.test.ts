import { describe, expect, it } from "vitest";
import { aPool } from "../../test/harness/runtime-rows.ts";
import { RuntimeId, TenantId } from "../domain/ids.ts";
import { parseLabels } from "../engine/labels.ts";
import { poolKey } from "./pool-key.ts";
import { containerSpec, networkSpec, profileHash } from "./profile.ts";
import { PROFILE_DEFAULTS, type ProfileSettings } from "./settings.ts";

const MIB = 1 << 20;
const identity = {
  instanceId: "abcd1234",
  runtimeId: RuntimeId.parse("aaaaaaaaaa"),
  slot: 0,
  generation: 3,
  folder: "/data/run/aaaaaaaaaa",
};
const spec = (changes: Partial<ProfileSettings> = {}, pool = aPool()) =>
  containerSpec(pool, { identity, settings: { ...PROFILE_DEFAULTS, ...changes } });

describe("the profile", () => {
  it("grants the plugin's memory on top of its tmpfs, and a user of its own", () => {
    const { resources, tmpfs, user } = spec();
    expect(resources).toMatchObject({ memoryBytes: (64 + 16 + 16) * MIB, shmBytes: 16 * MIB, pidsMax: 64 });
    expect(tmpfs).toEqual([{ path: "/tmp", bytes: 16 * MIB, inodes: 4096, exec: false }]);
    expect(user).toBe("100007:100007");
  });

  it("keeps no capability, no writable root and no host path but the Runtime's own, read-only", () => {
    expect(spec()).toMatchObject({
      capabilities: [],
      readOnlyRoot: true,
      mounts: [{ hostPath: identity.folder, path: "/run/berth", readOnly: true }],
      network: "berth-abcd1234",
    });
    expect(spec({ network: "none" }).network).toBe("none");
  });

  it("is named and labelled so that it is found again", () => {
    const { name, labels } = spec();
    expect(name).toBe(`berth-abcd1234-${aPool().key}-0-g3`);
    expect(parseLabels(labels)).toMatchObject({
      instance: "abcd1234",
      kind: "runtime",
      pool: aPool().key,
      runtime: "aaaaaaaaaa",
      generation: 3,
    });
  });

  it("has an environment from the list alone, with threads at the CPU limit rounded up", () => {
    const { env } = spec({}, aPool({ limits: { ...aPool().limits, cpuMillis: 1_500 } }));
    expect(env).toEqual({
      PATH: "/opt/venv/bin:/usr/local/bin:/usr/bin:/bin",
      LANG: "C.UTF-8",
      HOME: "/tmp",
      INSTALL_METHOD: "local",
      PYTHONDONTWRITEBYTECODE: "1",
      PYTHONUNBUFFERED: "1",
      OMP_NUM_THREADS: "2",
      OPENBLAS_NUM_THREADS: "2",
      NUMEXPR_NUM_THREADS: "2",
      MAX_WORKER: "1000",
    });
  });

  it("carries CA bundle and proxies only where the operator set them, and never a package index", () => {
    const { env } = spec({
      caBundle: { pem: "", digest: "one", warnings: [] },
      proxies: { http: undefined, https: "http://proxy:3128", bypass: "inside.example" },
      extraEnv: { MAX_WORKER: "10", HOME: "/root" },
    });
    expect(env).toMatchObject({
      SSL_CERT_FILE: "/run/berth/ca.pem",
      REQUESTS_CA_BUNDLE: "/run/berth/ca.pem",
      HTTPS_PROXY: "http://proxy:3128",
      https_proxy: "http://proxy:3128",
      NO_PROXY: "localhost,127.0.0.1,inside.example",
      MAX_WORKER: "10",
      HOME: "/tmp",
    });
    expect(env).not.toHaveProperty("HTTP_PROXY");
    expect(Object.keys(env).filter((name) => /INDEX/.test(name))).toEqual([]);
  });

  it("has a hash that limits and settings change, and that generations share", () => {
    const options = { instanceId: "abcd1234", settings: PROFILE_DEFAULTS };
    const hash = profileHash(aPool(), options);
    expect(parseLabels(spec().labels)?.specHash).toBe(hash);
    expect(profileHash(aPool({ limits: { ...aPool().limits, pidsMax: 1 } }), options)).not.toBe(hash);
    expect(profileHash(aPool(), { ...options, settings: { ...PROFILE_DEFAULTS, network: "none" } })).not.toBe(
      hash,
    );
  });

  it("has a hash that other authorities change, so that no process keeps those it has read", () => {
    const hashWith = (digest: string, pem = "") =>
      profileHash(aPool(), {
        instanceId: "abcd1234",
        settings: { ...PROFILE_DEFAULTS, caBundle: { pem, digest, warnings: [] } },
      });
    expect(hashWith("one")).not.toBe(hashWith("two"));
    expect(hashWith("one")).toBe(hashWith("one", "with other public ones"));
  });
});

describe("names", () => {
  it("a network's bridge fits the kernel's 15 characters", () => {
    expect(networkSpec("abcd1234")).toMatchObject({ bridge: "br-abcd1234", betweenContainers: false });
  });

  it("a Pool's key tells Tenants apart and is the same for all where they share", () => {
    const tenant = TenantId.parse("22222222-2222-4222-8222-222222222222");
    expect(poolKey("image", undefined)).toMatch(/^[0-9a-f]{16}$/);
    expect(poolKey("image", tenant)).not.toBe(poolKey("image", undefined));
    expect(poolKey("image", tenant)).toBe(poolKey("image", tenant));
  });
});
