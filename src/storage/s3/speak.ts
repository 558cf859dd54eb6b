import { Fault } from "../../domain/fault.ts";
import { RequestFailed } from "./bucket.ts";
import type { BucketSettings } from "./settings.ts";

/** Does work with a bucket; failed requests become faults. */
export type Speak = <T>(work: () => Promise<T>) => Promise<T>;

export function speakTo({ endpoint, bucket }: BucketSettings): Speak {
  return async (work) => {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof RequestFailed)) throw error;
      const { kind, why } = error.failure;
      const message =
        kind === "passing"
          ? "The package store cannot be reached; retry later."
          : `The package store refuses the request: ${why}.`;
      throw new Fault("package_store_unavailable", message, {
        context: { endpoint, bucket },
        cause: error,
      });
    }
  };
}
