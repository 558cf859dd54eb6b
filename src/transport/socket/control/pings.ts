import type { Fault } from "../../../domain/fault.ts";
import type { RuntimeHealth } from "../../transport.ts";
import { linkLost } from "../exit-fault.ts";
import type { ControlMessage } from "./control-message.ts";

interface Asked {
  resolve(health: RuntimeHealth): void;
  reject(reason: unknown): void;
}

/** Pings under way on one link. Each ends: by its answer, its signal, the time limit, or the end of the link. */
export class Pings {
  readonly #timeoutMs: number;
  readonly #asked = new Map<number, Asked>();
  #nextId = 1;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  ask(send: (id: number) => void, signal: AbortSignal): Promise<RuntimeHealth> {
    if (signal.aborted) return Promise.reject(signal.reason);
    const id = this.#nextId++;
    const { promise, resolve, reject } = Promise.withResolvers<RuntimeHealth>();
    const onAbort = () => this.#asked.get(id)?.reject(signal.reason);
    const timer = setTimeout(
      () => this.#asked.get(id)?.reject(linkLost(`The plugin gave no sign within ${this.#timeoutMs} ms.`)),
      this.#timeoutMs,
    );
    signal.addEventListener("abort", onAbort, { once: true });
    const done = (): void => {
      this.#asked.delete(id);
      clearTimeout(timer);
      signal.removeEventListener("abort", onAbort);
    };
    this.#asked.set(id, {
      resolve: (health) => {
        done();
        resolve(health);
      },
      reject: (reason) => {
        done();
        reject(reason);
      },
    });
    send(id);
    return promise;
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
