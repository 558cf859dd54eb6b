import { type Fault, toFault } from "../../domain/fault.ts";
import type { SessionFrame } from "../../domain/frame.ts";
import type { SessionLine } from "../codec.ts";
import type { SessionListener } from "../transport.ts";

/** A frame's place in the order of its session; empty while the frame is parsed. */
interface Place {
  frame: SessionFrame | undefined;
  readonly bytes: number;
  readonly large: boolean;
}

interface OpenSession {
  readonly listener: SessionListener;
  /** Set while a large frame of the session is parsed: its place, and those behind it. */
  waiting: Place[] | undefined;
}

/**
 * The open sessions of one link. Guarantees: frames reach their listener in the order of arrival, even if a large one is
 * still parsed; nothing follows `end` or a loss; what a listener throws ends only its own session.
 */
export class Sessions {
  readonly #open = new Map<string, OpenSession>();
  readonly #onThrow: (sessionId: string, error: unknown) => void;
  #heldBytes = 0;

  /** `onThrow` gets what a listener threw; it must not throw. */
  constructor(onThrow: (sessionId: string, error: unknown) => void) {
    this.#onThrow = onThrow;
  }

  get size(): number {
    return this.#open.size;
  }

  /** Bytes of ordinary frames that wait behind large ones. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  open(sessionId: string, listener: SessionListener): void {
    this.#open.set(sessionId, { listener, waiting: undefined });
  }

  has(sessionId: string): boolean {
    return this.#open.has(sessionId);
  }

  close(sessionId: string): void {
    const session = this.#open.get(sessionId);
    this.#open.delete(sessionId);
    for (const place of session?.waiting ?? []) this.#forget(place);
  }

  deliver({ sessionId, frame }: SessionLine, bytes: number): void {
    const session = this.#open.get(sessionId);
    if (session === undefined) return;
    if (session.waiting !== undefined) {
      session.waiting.push({ frame, bytes, large: false });
      this.#heldBytes += bytes;
      return;
    }
    if (frame.type === "end") this.#open.delete(sessionId);
    this.#notifyFrame(sessionId, session, frame, bytes);
  }

  /**
   * Reserves the place of a large frame. The returned function fills it and delivers every frame that need not wait any
   * more; it is harmless after the session has ended.
   */
  expect(sessionId: string, bytes: number): (frame: SessionFrame) => void {
    const session = this.#open.get(sessionId);
    if (session === undefined) return () => undefined;
    const place: Place = { frame: undefined, bytes, large: true };
    session.waiting ??= [];
    session.waiting.push(place);
    return (frame) => {
      place.frame = frame;
      if (this.#open.get(sessionId) === session) this.#advance(sessionId, session);
    };
  }

  lose(sessionId: string, fault: Fault): void {
    const session = this.#open.get(sessionId);
    if (session === undefined) return;
    this.close(sessionId);
    this.#notifyLost(sessionId, session, fault);
  }

  loseAll(fault: Fault): void {
    for (const sessionId of [...this.#open.keys()]) this.lose(sessionId, fault);
  }

  #advance(sessionId: string, session: OpenSession): void {
    const waiting = session.waiting ?? [];
    while (this.#open.get(sessionId) === session) {
      const place = waiting[0];
      if (place === undefined) {
        session.waiting = undefined;
        return;
      }
      if (place.frame === undefined) return;
      waiting.shift();
      this.#forget(place);
      if (place.frame.type === "end") this.close(sessionId);
      this.#notifyFrame(sessionId, session, place.frame, place.bytes);
    }
  }

  #notifyFrame(sessionId: string, session: OpenSession, frame: SessionFrame, bytes: number): void {
    try {
      session.listener.onFrame(frame, bytes);
    } catch (error) {
      this.#onThrow(sessionId, error);
      if (this.#open.get(sessionId) === session) this.close(sessionId);
      this.#notifyLost(sessionId, session, toFault(error));
    }
  }

  #notifyLost(sessionId: string, session: OpenSession, fault: Fault): void {
    try {
      session.listener.onLost(fault);
    } catch (error) {
      this.#onThrow(sessionId, error);
    }
  }

  #forget(place: Place): void {
    if (!place.large) this.#heldBytes -= place.bytes;
  }
}
