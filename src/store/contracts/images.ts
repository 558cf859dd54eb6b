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
  /** Why its last build failed, where the same may happen to whoever waited for it. */
  readonly cause: FaultJson | undefined;
  readonly createdAt: Date;
}

export interface ImageRows {
  /**
   * One build per key, however many ask. A failed one may be claimed again; one that is being removed is held until it
   * is gone. A claim of what is ready counts as a use. `identifier` is that of the Package whose image it is.
   */
  claim(
    key: string,
    layer: ImageRecord["layer"],
    holder: string,
    leaseMs: number,
    options?: {
      readonly identifier?: string | undefined;
      /** Of a build that was `held` before: where that one failed with a cause, the claim answers it and takes nothing. */
      readonly isWaiting?: boolean;
    },
  ): Promise<ImageClaim>;
  /** Notes on which dependency layer the Package's image is being built: nobody removes that from now on. */
  setBase(key: string, attempt: number, baseKey: string): Promise<void>;
  renew(key: string, attempt: number, leaseMs: number): Promise<void>;
  publish(
    key: string,
    attempt: number,
    image: { imageRef: string; bytes: number; warnings: readonly string[] },
  ): Promise<void>;
  fail(key: string, attempt: number, cause?: FaultJson): Promise<void>;
  /** The image is gone from the Engine: the next claim builds it again. */
  forget(key: string): Promise<void>;
  find(key: string): Promise<ImageRecord | undefined>;
  list(): Promise<readonly ImageRecord[]>;
}
