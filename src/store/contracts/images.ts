import type { FaultJson } from "../../domain/fault.ts";

export type ImageClaim =
  | { readonly outcome: "failed"; readonly cause: FaultJson }
  | { readonly outcome: "ready"; readonly imageRef: string; readonly warnings: readonly string[] }
  | { readonly outcome: "claimed"; readonly attempt: number }
  | { readonly outcome: "held"; readonly holder: string; readonly expiresAt: Date };

export interface ImageRecord {
  readonly key: string;
  readonly layer: "dependencies" | "package";
  readonly state: "building" | "ready" | "failed" | "deleting";
  readonly imageRef: string | undefined;
  readonly bytes: number | undefined;
  readonly warnings: readonly string[];
  /** Why its last build failed, where a repetition would fail the same way. */
  readonly cause: FaultJson | undefined;
  readonly createdAt: Date;
}

export interface ImageRows {
  /**
   * Claims the build of an image: one holder per key. A failed image may be claimed again; one that is being removed is
   * `held` until it is gone. A claim of a ready image counts as a use. `identifier` is that of the image's package.
   */
  claim(
    key: string,
    layer: ImageRecord["layer"],
    holder: string,
    leaseMs: number,
    options?: {
      readonly identifier?: string | undefined;
      /** True after a `held`: where that build failed with a cause, the claim answers the cause and takes no lease. */
      readonly isWaiting?: boolean;
    },
  ): Promise<ImageClaim>;
  /** Records the dependency layer of the image that is being built: from then on no collection removes the layer. */
  setBase(key: string, attempt: number, baseKey: string): Promise<void>;
  renew(key: string, attempt: number, leaseMs: number): Promise<void>;
  publish(
    key: string,
    attempt: number,
    image: { imageRef: string; bytes: number; warnings: readonly string[] },
  ): Promise<void>;
  fail(key: string, attempt: number, cause?: FaultJson): Promise<void>;
  /** Records that the engine no longer has the image: the next claim builds it again. */
  forget(key: string): Promise<void>;
  find(key: string): Promise<ImageRecord | undefined>;
  list(): Promise<readonly ImageRecord[]>;
}
