import { describe, expect, test } from "vitest";
import { LIMITS } from "../../../test/harness/samples/tenant-rows.ts";
import { Fault, type FaultJson } from "../../domain/fault.ts";
import type { Package } from "../../domain/package.ts";
import { silentLog } from "../../observe/log.ts";
import { systemClock } from "../../util/clock.ts";
import { type ReadPackagesDeps, readDeclared, readPackages } from "./read-packages.ts";

const NEVER = new AbortController().signal;
function aPackage(identifier: string): Package {
  return {
    identifier,
    checksum: `of ${identifier}`,
    limitsAsked: { memoryIsHard: false },
    warnings: [],
    declaration: {},
  } as never;
}

/** `archives`: what opening each identifier gives. */
function shelf(
  archives: Readonly<Record<string, string | Fault>>,
  { policy = "warn", signed = "" }: { readonly policy?: string; readonly signed?: string } = {},
) {
  const kept: string[] = [];
  const admitted: string[] = [];
  const failed: FaultJson[] = [];
  let unread = Object.keys(archives);
  const settle = (identifier: string) => {
    unread = unread.filter((other) => other !== identifier);
  };
  const deps = {
    store: {
      takeover: {
        unread: async (limit: number) => unread.slice(0, limit),
        declared: async (after: string, limit: number) =>
          unread
            .filter((identifier) => identifier > after)
            .toSorted()
            .slice(0, limit),
        keepPackage: async ({ identifier }: Package) => {
          kept.push(identifier);
          settle(identifier);
        },
        fail: async (identifier: string, cause: FaultJson) => {
          if (!unread.includes(identifier)) return 0;
          failed.push(cause);
          settle(identifier);
          return 1;
        },
      },
      packages: { find: async () => undefined },
      trust: {
        admit: async ({ checksum }: { checksum: string }) => {
          admitted.push(checksum);
          return { created: true };
        },
      },
      leases: { take: async () => true, renew: async () => undefined, release: async () => undefined },
    },
    packages: {
      has: async (identifier: string) => !(archives[identifier] instanceof Fault),
      open: async (identifier: string) => {
        const found = archives[identifier];
        if (found instanceof Fault) throw found;
        return { path: found, bytes: 1, [Symbol.asyncDispose]: async () => undefined };
      },
    },
    reader: { read: async (path: string) => aPackage(path) },
    trust: {
      keepSignature: async () => undefined,
      judge: async ({ identifier }: Package) => ({
        verdict: identifier === signed ? "verified" : "unsigned",
      }),
      settings: { policy },
    },
    queue: { publish: async () => undefined },
    clock: systemClock,
    log: silentLog,
    limits: { memoryBytesFloor: 1, ceiling: LIMITS, defaults: LIMITS },
  } as unknown as ReadPackagesDeps;
  return { deps, kept, failed, admitted };
}

describe("packages that an earlier daemon kept", () => {
  test("are admitted only if signatures are required and their signature is not trusted", async () => {
    const archives = { "a/signed:1@1": "a/signed:1@1", "a/unsigned:1@1": "a/unsigned:1@1" };
    const strict = shelf(archives, { policy: "require", signed: "a/signed:1@1" });
    expect(await readPackages(strict.deps, 9, NEVER)).toBe(2);
    expect(strict.admitted).toEqual(["of a/unsigned:1@1"]);
    const lenient = shelf(archives);
    expect(await readPackages(lenient.deps, 9, NEVER)).toBe(2);
    expect(lenient.admitted).toEqual([]);
  });

  test("are read until none is left; a missing package and another identifier are failures with their cause", async () => {
    const { deps, kept, failed } = shelf({
      "a/good:1@1": "a/good:1@1",
      "a/gone:1@1": new Fault("package_not_found", "not here"),
      "a/other:1@1": "a/good:1@1",
    });
    expect(await readPackages(deps, 2, NEVER)).toBe(2);
    expect(await readPackages(deps, 2, NEVER)).toBe(1);
    expect(await readPackages(deps, 2, NEVER)).toBe(0);
    expect(kept).toEqual(["a/good:1@1"]);
    expect(failed).toMatchObject([
      {
        code: "package_not_found",
        message: expect.stringContaining("a/gone:1@1"),
        details: { value: "a/gone:1@1" },
      },
      { code: "package_damaged", details: { value: "a/other:1@1", found: { code: "package_damaged" } } },
    ]);
  });

  test("do not fail while their storage is unreachable", async () => {
    const away = new Fault("package_store_unavailable", "away");
    const { deps, kept, failed } = shelf({ "a/good:1@1": away });
    await expect(readPackages(deps, 2, NEVER)).rejects.toBe(away);
    expect([kept, failed]).toEqual([[], []]);
  });

  test("that no tenant has installed are read too; a missing package fails no installation", async () => {
    const { deps, kept, failed } = shelf({
      "a/good:1@1": "a/good:1@1",
      "a/gone:1@1": new Fault("package_not_found", "not here"),
      "a/other:1@1": "a/good:1@1",
    });
    expect(await readDeclared(deps, 2, NEVER)).toBe(1);
    expect([kept, failed]).toEqual([["a/good:1@1"], []]);
  });
});
