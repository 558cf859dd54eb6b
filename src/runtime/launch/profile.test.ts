import { describe, expect, it } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { RuntimeId, TenantId } from "../../domain/ids.ts";
import type { Limits } from "../../domain/limits.ts";
import type { PluginVariable } from "../../domain/variables.ts";
import { parseLabels } from "../../engine/labels.ts";
import { poolKey } from "../../installation/steps/pool-shape.ts";
import { PROFILE_DEFAULTS, type ProfileSettings } from "../settings.ts";
import { bridgePrefix, containerSpec, networkSpec, profileHash } from "./profile.ts";

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

  it("has no capability, no writable root and no host path except the runtime's, read-only", () => {
    expect(spec()).toMatchObject({
      capabilities: [],
      readOnlyRoot: true,
      mounts: [{ hostPath: identity.folder, path: "/run/berth", readOnly: true }],
      network: "berth-abcd1234",
    });
    expect(spec({ network: "none" }).network).toBe("none");
  });

  it("has a name and labels by which it is found again", () => {
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

  it("has only the listed environment, with threads at the CPU limit rounded up", () => {
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

  it("has CA bundle and proxies only if the operator set them, and never a package index", () => {
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

  it("has a hash that changes with settings and with limits that need another container, but not with generations", () => {
    const options = { instanceId: "abcd1234", settings: PROFILE_DEFAULTS };
    const hash = profileHash(aPool(), options);
    const hashWith = (limits: Partial<Limits>) =>
      profileHash(aPool({ limits: { ...aPool().limits, ...limits } }), options);
    expect(parseLabels(spec().labels)?.specHash).toBe(hash);
    expect(hashWith({ storageBytes: MIB })).not.toBe(hash);
    expect(hashWith({ pidsMax: 1, cpuMillis: 4_000, memoryBytes: 512 * MIB })).toBe(hash);
    expect(profileHash(aPool(), { ...options, settings: { ...PROFILE_DEFAULTS, network: "none" } })).not.toBe(
      hash,
    );
  });

  it("overrides its own variables with the tenant's, except those that the protocol needs", () => {
    const pool = aPool({ variables: [{ name: "TOKEN", sealed: "berth:1:…", version: "v1" }] });
    const { env } = spec(
      { timeZone: "UTC", openVariables: () => ({ TOKEN: "plain", TZ: "Asia/Tokyo", HOME: "/" }) },
      pool,
    );
    expect(env).toMatchObject({ TOKEN: "plain", TZ: "Asia/Tokyo", HOME: "/tmp" });
    expect(spec({ timeZone: "UTC" }).env).toMatchObject({ TZ: "UTC" });
  });

  it("has a hash that changes with the plugin's files, and is the one of before without any", () => {
    const hashWith = (filesVersion: string | undefined) =>
      profileHash(aPool({ filesVersion }), { instanceId: "abcd1234", settings: PROFILE_DEFAULTS });
    const { filesVersion: _, ...earlier } = aPool();
    const before = profileHash(earlier, { instanceId: "abcd1234", settings: PROFILE_DEFAULTS });
    expect(hashWith(undefined)).toBe(before);
    expect(new Set([before, hashWith("one"), hashWith("two")]).size).toBe(3);
  });

  it("has a hash that changes with variables and with the version of a secret, but not with its encryption", () => {
    const hashWith = (...variables: PluginVariable[]) =>
      profileHash(aPool({ variables }), { instanceId: "abcd1234", settings: PROFILE_DEFAULTS });
    expect(hashWith({ name: "A", value: "1" })).not.toBe(hashWith({ name: "A", value: "2" }));
    const sealed = { name: "A", sealed: "one", version: "v1" };
    expect(hashWith(sealed)).toBe(hashWith({ ...sealed, sealed: "two" }));
    expect(hashWith(sealed)).not.toBe(hashWith({ ...sealed, version: "v2" }));
  });

  it("has a hash that changes with the authorities, because a process reads them once", () => {
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
  it("a network's bridge fits the kernel's 15 characters, and has the prefix of its kind", () => {
    expect(networkSpec("abcd1234")).toMatchObject({ bridge: "br-abcd1234", betweenContainers: false });
    for (const kind of ["open", "list"] as const) {
      for (const subnet of [undefined, "10.9.0.0/20"]) {
        const { bridge } = networkSpec("abcd1234efgh", { kind, subnet });
        expect(bridge.length).toBeLessThanOrEqual(15);
        expect(bridge.startsWith(bridgePrefix("abcd1234efgh", kind))).toBe(true);
      }
    }
  });

  it("the two kinds share a subnet, and another subnet gives another network", () => {
    const of = (kind: "open" | "list", subnet: string) => networkSpec("abcd1234", { kind, subnet });
    expect(of("open", "10.9.0.0/20").subnet).toBe("10.9.0.0/21");
    expect(of("list", "10.9.0.0/20").subnet).toBe("10.9.8.0/21");
    expect(of("list", "192.168.200.130/24").subnet).toBe("192.168.200.128/25");
    expect(of("open", "10.8.0.0/20").name).not.toBe(of("open", "10.9.0.0/20").name);
  });

  it("names servers and hosts only if there are any, so that a Berth without any replaces no container", () => {
    expect(spec()).not.toHaveProperty("dns");
    expect(spec()).not.toHaveProperty("hosts");
    expect(spec({ network: "list", listDns: "10.9.8.1", hosts: { ollama: "10.0.0.5" } })).toMatchObject({
      network: "berth-abcd1234-list",
      dns: ["10.9.8.1"],
      hosts: { ollama: "10.0.0.5" },
    });
  });

  it("a pool's key differs between tenants, and is the same for all if they share the pool", () => {
    const tenant = TenantId.parse("22222222-2222-4222-8222-222222222222");
    expect(poolKey("image", undefined)).toMatch(/^[0-9a-f]{16}$/);
    expect(poolKey("image", tenant)).not.toBe(poolKey("image", undefined));
    expect(poolKey("image", tenant)).toBe(poolKey("image", tenant));
  });
});
