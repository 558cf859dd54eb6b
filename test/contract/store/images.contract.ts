/** Images: one build per key, its lease, and what becomes of it. */
import { expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { AHEAD_MS, CAUSE, LEASE_MS } from "./accepting.ts";

export function imageContract(images: () => Store["images"]): void {
  it("gives the build to one of many claimants, and the image to all", async () => {
    const key = crypto.randomUUID();
    const claims = await Promise.all(
      Array.from({ length: 10 }, (_, n) => images().claim(key, "package", `worker-${n}`, LEASE_MS)),
    );
    expect(claims.filter(({ outcome }) => outcome === "claimed")).toHaveLength(1);
    expect(claims.filter(({ outcome }) => outcome === "held")).toHaveLength(9);
    await images().publish(key, 1, { imageRef: "sha256:1", bytes: 5_000_000_000, warnings: ["newer"] });
    expect(await images().claim(key, "package", "worker-1", LEASE_MS)).toEqual({
      outcome: "ready",
      imageRef: "sha256:1",
      warnings: ["newer"],
    });
    expect((await images().find(key))?.bytes).toBe(5_000_000_000);
  });

  it("lets a failed, forgotten or abandoned build be claimed again and refuses the stale builder", async () => {
    const key = crypto.randomUUID();
    expect(await images().claim(key, "package", "worker-1", 0)).toEqual({
      outcome: "claimed",
      attempt: 1,
    });
    expect(await images().claim(key, "package", "worker-2", LEASE_MS)).toEqual({
      outcome: "claimed",
      attempt: 2,
    });
    const image = { imageRef: "sha256:1", bytes: 1, warnings: [] };
    await expect(images().publish(key, 1, image)).rejects.toMatchObject({ code: "lease_lost" });
    await images().fail(key, 2);
    expect(await images().claim(key, "package", "worker-1", LEASE_MS)).toEqual({
      outcome: "claimed",
      attempt: 3,
    });
    await images().publish(key, 3, image);
    await images().forget(key);
    expect(await images().claim(key, "package", "worker-1", LEASE_MS)).toEqual({
      outcome: "claimed",
      attempt: 4,
    });
  });

  it("gives the build to another worker if its lease was written before the clock was set back", async () => {
    const key = crypto.randomUUID();
    await images().claim(key, "package", "dead", AHEAD_MS);
    expect(await images().claim(key, "package", "next", LEASE_MS)).toEqual({
      outcome: "claimed",
      attempt: 2,
    });
    expect(await images().claim(key, "package", "third", LEASE_MS)).toMatchObject({ outcome: "held" });
  });

  it("lets the builder renew its lease, and refuses a renewal by a stale builder", async () => {
    const key = crypto.randomUUID();
    await images().claim(key, "package", "worker-1", 0);
    await images().renew(key, 1, LEASE_MS);
    expect(await images().claim(key, "package", "worker-2", LEASE_MS)).toMatchObject({
      outcome: "held",
      holder: "worker-1",
    });
    await images().fail(key, 1);
    const late = [
      () => images().renew(key, 1, LEASE_MS),
      () => images().setBase(key, 1, "base"),
      () => images().fail(key, 1),
    ];
    for (const write of late) await expect(write()).rejects.toMatchObject({ code: "lease_lost" });
  });

  it("reports the cause of a failed build to those who waited for it, and lets others build again", async () => {
    const key = crypto.randomUUID();
    await images().claim(key, "package", "worker-1", LEASE_MS);
    await images().fail(key, 1, CAUSE);
    expect(await images().find(key)).toMatchObject({ state: "failed", cause: CAUSE });
    const waited = await images().claim(key, "package", "worker-2", LEASE_MS, { isWaiting: true });
    expect(waited).toEqual({ outcome: "failed", cause: CAUSE });
    const asked = await images().claim(key, "package", "worker-2", LEASE_MS);
    expect(asked).toEqual({ outcome: "claimed", attempt: 2 });
    expect((await images().find(key))?.cause).toBeUndefined();
  });
}
