import { Fault } from "../../../src/domain/fault.ts";
import type { ImageRecord, ImageRows } from "../../../src/store/contracts/images.ts";
import { type Clock, systemClock } from "../../../src/util/clock.ts";
import { isLeaseOver } from "./lease.ts";

interface ImageRow extends ImageRecord {
  readonly attempt: number;
  readonly lease: { readonly holder: string; readonly expiresAt: Date } | undefined;
}

/** Images in memory by the rules of the store: the contract of images runs on them. Nothing removes an image. */
export function imageRowsInMemory(clock: Clock = systemClock): ImageRows {
  const rows = new Map<string, ImageRow>();
  const expiry = (leaseMs: number) => new Date(clock.now() + leaseMs);
  const changeHeld = (key: string, attempt: number, changes: Partial<ImageRow>) => {
    const row = rows.get(key);
    if (row?.attempt !== attempt || row.state !== "building" || row.lease === undefined)
      throw new Fault("lease_lost", `The lease of the image ${key} is lost; another worker may hold it now.`);
    rows.set(key, { ...row, ...changes });
    return row.lease;
  };
  const end = (key: string, attempt: number, changes: Partial<ImageRow>) =>
    changeHeld(key, attempt, { ...changes, lease: undefined });
  return {
    claim: async (key, layer, holder, leaseMs, { isWaiting = false } = {}) => {
      const row = rows.get(key);
      if (row?.state === "ready" && row.imageRef !== undefined)
        return { outcome: "ready", imageRef: row.imageRef, warnings: row.warnings };
      if (isWaiting && row?.cause !== undefined) return { outcome: "failed", cause: row.cause };
      if (row?.lease !== undefined && !isLeaseOver(row.lease.expiresAt, leaseMs, clock))
        return { outcome: "held", ...row.lease };
      const attempt = (row?.attempt ?? 0) + 1;
      rows.set(key, {
        ...newImage(key, layer, clock),
        attempt,
        lease: { holder, expiresAt: expiry(leaseMs) },
      });
      return { outcome: "claimed", attempt };
    },
    setBase: async (key, attempt) => {
      changeHeld(key, attempt, {});
    },
    renew: async (key, attempt, leaseMs) => {
      const { holder } = changeHeld(key, attempt, {});
      changeHeld(key, attempt, { lease: { holder, expiresAt: expiry(leaseMs) } });
    },
    publish: async (key, attempt, image) => {
      end(key, attempt, { ...image, state: "ready" });
    },
    fail: async (key, attempt, cause) => {
      end(key, attempt, { state: "failed", cause });
    },
    forget: async (key) => {
      const row = rows.get(key);
      if (row?.state === "ready")
        rows.set(key, { ...row, state: "failed", imageRef: undefined, bytes: undefined });
    },
    find: async (key) => rows.get(key),
    list: async () => [...rows.values()].reverse(),
  };
}

function newImage(key: string, layer: ImageRecord["layer"], clock: Clock): ImageRecord {
  const nothing = { imageRef: undefined, bytes: undefined, warnings: [], cause: undefined };
  return { key, layer, state: "building", ...nothing, createdAt: new Date(clock.now()) };
}
