import type { Fault } from "../../../domain/fault.ts";
import { systemClock } from "../../../util/clock.ts";
import { Deadline } from "../../../util/deadline.ts";
import { waitOrAbort } from "../../../util/wait.ts";
import type { RuntimeHealth } from "../../transport.ts";
import { linkLost } from "../exit-fault.ts";
import type { ControlMessage } from "./control-message.ts";

/** Pings under way on one link. Each ends: by its answer, its signal, the time limit, or the end of the link. */
export class Pings {
  readonly #timeoutMs: number;
  readonly #asked = new Map<number, PromiseWithResolvers<RuntimeHealth>>();
  #nextId = 1;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  async ask(send: (id: number) => void, signal: AbortSignal): Promise<RuntimeHealth> {
    signal.throwIfAborted();
    const id = this.#nextId++;
    const asked = Promise.withResolvers<RuntimeHealth>();
    const ms = this.#timeoutMs;
    const late = () => linkLost(`The plugin gave no sign within ${ms} ms.`);
    using deadline = new Deadline({ clock: systemClock, ms, late }, signal);
    this.#asked.set(id, asked);
    try {
      send(id);
      return await waitOrAbort(asked.promise, deadline.signal);
    } finally {
      this.#asked.delete(id);
    }
  }

  answer(pong: Extract<ControlMessage, { op: "pong" }>): void {
    this.#asked.get(pong.id)?.resolve({
      alive: pong.alive,
      heartbeatAgeMs: pong.heartbeat_age_ms ?? undefined,
      residentBytes: pong.resident_bytes,
      oomKills: pong.oom_kills,
      openSessions: pong.open_sessions,
      stopped: pong.stopped ?? false,
      lateMs: pong.late_ms ?? 0,
    });
  }

  rejectAll(fault: Fault): void {
    for (const asked of [...this.#asked.values()]) asked.reject(fault);
  }
}
