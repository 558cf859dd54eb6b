/**
 * One build per image key, however many ask and wherever: the lease on the image's row lets one in, the others wait
 * for the row. The Engine has the last word on whether a finished image is still there.
 */
import { FAULTS, Fault, type FaultJson, formatFault, toFault } from "../../domain/fault.ts";
import type { Engine } from "../../engine/engine.ts";
import type { Queue } from "../../queue/queue.ts";
import type { ImageClaim, ImageRecord, Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import type { Clock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { underLease } from "../lease.ts";
import { imageTopic } from "../topics.ts";

export interface SharedImageDeps {
  readonly engine: Engine;
  readonly store: Store;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly leaseMs: number;
  /** How often a waiting task looks at the row where the queue tells nothing. */
  readonly pollMs: number;
}

export interface SharedImageRequest {
  readonly key: string;
  readonly layer: ImageRecord["layer"];
  /** Who asks; another one for each task. */
  readonly holder: string;
  /** Called once when somebody else is at work. */
  readonly onWait: () => void;
  readonly build: (signal: AbortSignal) => Promise<BuiltImage>;
}

export interface BuiltImage {
  readonly imageRef: string;
  readonly warnings: readonly string[];
}

export interface SharedImage extends BuiltImage {
  /** False where it was there already, or another one built it. */
  readonly built: boolean;
}

/**
 * Resolves with an image that the Engine has. Throws what the build threw, also where another task's build failed for
 * good while this one waited for it; a build that was cancelled there is taken over here.
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
    const claim = await deps.store.images.claim(request.key, request.layer, request.holder, deps.leaseMs);
    if (claim.outcome === "ready") {
      const { imageRef, warnings } = claim;
      if ((await deps.engine.findImage(imageRef, signal)) !== undefined)
        return { imageRef, warnings, built: false };
      await deps.store.images.forget(request.key);
    } else if (claim.outcome === "claimed") {
      return { ...(await buildUnderLease(deps, request, claim, signal)), built: true };
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
      const built = await build(held);
      const bytes = (await engine.findImage(built.imageRef, held))?.bytes ?? 0;
      await store.images.publish(key, attempt, { ...built, bytes });
      return built;
    });
    await queue.publish(imageTopic(key), JSON.stringify({ state: "ready" })).catch(() => undefined);
    return image;
  } catch (error) {
    const fault = toFault(error);
    // Another holder's row must not be touched; one that nobody holds any more can simply be claimed.
    if (fault.code !== "lease_lost") await store.images.fail(key, attempt).catch(() => undefined);
    const cause = isFinal(fault) ? formatFault(fault) : undefined;
    await queue.publish(imageTopic(key), JSON.stringify({ state: "failed", cause })).catch(() => undefined);
    throw error;
  }
}

/** Would the same build fail in the same way for the next one who asks? */
function isFinal(fault: Fault): boolean {
  return !fault.rule.retry && fault.code !== "cancelled" && fault.code !== "internal";
}

/** Waits for another's build; subscribes on the first wait, so that asking for a finished image costs no round trip. */
class Waiting {
  readonly #bell = new Bell();
  readonly #deps: SharedImageDeps;
  readonly #request: SharedImageRequest;
  readonly #scope: Scope;
  #subscribed = false;
  #failure: Fault | undefined;

  constructor(deps: SharedImageDeps, request: SharedImageRequest, scope: Scope) {
    this.#deps = deps;
    this.#request = request;
    this.#scope = scope;
  }

  async wait(signal: AbortSignal): Promise<void> {
    if (!this.#subscribed) {
      this.#subscribed = true;
      this.#request.onWait();
      const topic = imageTopic(this.#request.key);
      const subscription = await this.#deps.queue
        .subscribe(topic, (text) => this.#onMessage(text))
        .catch(() => undefined);
      if (subscription !== undefined) this.#scope.use(subscription);
      // The build may have ended between the claim and the subscription: look again at once.
      return;
    }
    await this.#bell.wait(this.#deps.clock, this.#deps.pollMs, signal);
    if (this.#failure !== undefined) throw this.#failure;
  }

  #onMessage(text: string): void {
    const cause = parseCause(text);
    if (cause !== undefined) {
      this.#failure = new Fault(
        cause.code,
        cause.message,
        cause.details === undefined ? {} : { details: cause.details },
      );
    }
    this.#bell.ring();
  }
}

function parseCause(text: string): FaultJson | undefined {
  try {
    const message = JSON.parse(text) as { cause?: FaultJson };
    return message.cause !== undefined && message.cause.code in FAULTS ? message.cause : undefined;
  } catch {
    return undefined;
  }
}
