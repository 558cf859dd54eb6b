/**
 * One build per image key, however many tasks in whichever process ask for it: the lease on the image's row lets one
 * build, the others wait for the row. The engine has the last word on whether a finished image still exists.
 */
import { Fault, type FaultCode, formatFault, toFault } from "../../domain/fault.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Queue } from "../../queue/queue.ts";
import type { ImageClaim, ImageRecord } from "../../store/contracts/images.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import type { Clock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { imageTopic } from "../task-engine/topics.ts";
import { underLease } from "../task-engine/under-lease.ts";

export interface SharedImageDeps {
  readonly engine: Engine;
  readonly store: Store;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly leaseMs: number;
  /** How often a waiting task reads the row where no notification arrives. */
  readonly pollMs: number;
}

export interface SharedImageRequest {
  readonly key: string;
  readonly layer: ImageRecord["layer"];
  /** Names the task that asks; unique for each. */
  readonly holder: string;
  /** Called once where another build of the image runs. */
  readonly onWait: () => void;
  /** Of the package whose image it is. */
  readonly identifier?: string;
  /** Builds the image; `attempt` fences its writes to the image's row. */
  readonly build: (signal: AbortSignal, attempt: number) => Promise<BuiltImage>;
}

export interface BuiltImage {
  readonly imageRef: string;
  readonly warnings: readonly string[];
}

export interface SharedImage extends BuiltImage {
  /** False where it existed already, or another task built it. */
  readonly built: boolean;
}

/**
 * Resolves with an image that the engine has, which counts as used now. Throws what the build threw, also where another
 * task's build failed while this one waited for it; a build that was cancelled there is taken over here.
 */
export async function ensureSharedImage(
  deps: SharedImageDeps,
  request: SharedImageRequest,
  signal: AbortSignal,
): Promise<SharedImage> {
  await using scope = new Scope();
  const waiting = new Waiting(deps, request, scope);
  for (;;) {
    signal.throwIfAborted();
    const { key, layer, holder, identifier } = request;
    const claim = await deps.store.images.claim(key, layer, holder, deps.leaseMs, {
      identifier,
      isWaiting: waiting.hasBegun,
    });
    if (claim.outcome === "ready") {
      const { imageRef, warnings } = claim;
      if ((await deps.engine.findImage(imageRef, signal)) !== undefined)
        return { imageRef, warnings, built: false };
      await deps.store.images.forget(request.key);
    } else if (claim.outcome === "claimed") {
      return { ...(await buildUnderLease(deps, request, claim, signal)), built: true };
    } else if (claim.outcome === "failed") {
      const { code, message, details } = claim.cause;
      throw new Fault(code, message, details === undefined ? {} : { details });
    } else {
      await waiting.wait(signal);
    }
  }
}

async function buildUnderLease(
  { engine, store, queue, clock, leaseMs }: SharedImageDeps,
  { key, build }: SharedImageRequest,
  { attempt }: Extract<ImageClaim, { outcome: "claimed" }>,
  signal: AbortSignal,
): Promise<BuiltImage> {
  const renew = () => store.images.renew(key, attempt, leaseMs);
  try {
    const image = await underLease({ clock, leaseMs, renew }, signal, async (held) => {
      const built = await build(held, attempt);
      const bytes = (await engine.findImage(built.imageRef, held))?.bytes ?? 0;
      await store.images.publish(key, attempt, { ...built, bytes });
      return built;
    });
    await queue.publish(imageTopic(key), "ready").catch(() => undefined);
    return image;
  } catch (error) {
    const fault = toFault(error);
    const cause = TAKEN_OVER.includes(fault.code) ? undefined : formatFault(fault);
    // Another holder's row must not be touched; a row that nobody holds can simply be claimed.
    if (fault.code !== "lease_lost") await store.images.fail(key, attempt, cause).catch(() => undefined);
    await queue.publish(imageTopic(key), "failed").catch(() => undefined);
    throw error;
  }
}

/**
 * Causes that say nothing about the build, or only what one tenant's policy is: a task that waited for it builds in its
 * place.
 */
const TAKEN_OVER: readonly FaultCode[] = [
  "cancelled",
  "shutting_down",
  "lease_lost",
  "internal",
  "source_build_refused",
];

/** Waits for another task's build; subscribes on the first wait, so that a finished image costs no round trip. */
class Waiting {
  readonly #bell = new Bell();
  readonly #deps: SharedImageDeps;
  readonly #request: SharedImageRequest;
  readonly #scope: Scope;
  #subscribed = false;

  constructor(deps: SharedImageDeps, request: SharedImageRequest, scope: Scope) {
    this.#deps = deps;
    this.#request = request;
    this.#scope = scope;
  }

  get hasBegun(): boolean {
    return this.#subscribed;
  }

  async wait(signal: AbortSignal): Promise<void> {
    const { queue, clock, pollMs } = this.#deps;
    const { key, onWait } = this.#request;
    if (this.#subscribed) {
      await this.#bell.wait(clock, pollMs, signal);
    } else {
      this.#subscribed = true;
      onWait();
      const subscription = await queue
        .subscribe(imageTopic(key), () => this.#bell.ring())
        .catch(() => undefined);
      if (subscription !== undefined) this.#scope.use(subscription);
      // The build may have ended between the claim and the subscription: the caller claims again at once.
    }
  }
}
