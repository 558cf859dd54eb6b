/**
 * A scripted Runtime for tests of what stands above the Transport: a link in memory that behaves as its contract
 * says (synchronous delivery, nothing after `end` or a loss) and whose plugin is a function.
 */
import { Fault } from "../../src/domain/fault.ts";
import type { RequestFrame, SessionFrame } from "../../src/domain/frame.ts";
import { RuntimeId } from "../../src/domain/ids.ts";
import { exitFault } from "../../src/transport/socket/exit-fault.ts";
import type {
  RuntimeExit,
  RuntimeHealth,
  RuntimeLink,
  SessionListener,
} from "../../src/transport/transport.ts";

/** The plugin's end of one session. */
export interface FakeSession {
  readonly id: string;
  readonly request: RequestFrame;
  stream(data: unknown): void;
  invoke(data: unknown): void;
  error(data: unknown): void;
  end(): void;
  lose(fault: Fault): void;
}

export interface FakeRuntimeScript {
  /** Called for each request, after `openSession` has returned. */
  readonly onRequest: (session: FakeSession) => void;
  /** Called for each further line (answers to backwards calls). */
  readonly onLine?: (frame: RequestFrame) => void;
  readonly health?: Partial<RuntimeHealth>;
  readonly runtimeId?: string;
}

export class FakeRuntime implements RuntimeLink {
  readonly runtimeId: RuntimeId;
  readonly #script: FakeRuntimeScript;
  readonly #open = new Map<string, SessionListener>();
  /** Every line that was written to the plugin, in order. */
  readonly lines: string[] = [];
  up = true;
  ready = true;

  constructor(script: FakeRuntimeScript) {
    this.#script = script;
    this.runtimeId = RuntimeId.parse(script.runtimeId ?? "fake000000");
  }

  get openSessions(): number {
    return this.#open.size;
  }

  openSession(sessionId: string, line: string, listener: SessionListener): void {
    this.#checkUp();
    this.#open.set(sessionId, listener);
    this.lines.push(line);
    const request = JSON.parse(line) as RequestFrame;
    queueMicrotask(() => this.#script.onRequest(this.#session(sessionId, request)));
  }

  send(line: string): void {
    this.#checkUp();
    this.lines.push(line);
    const frame = JSON.parse(line) as RequestFrame;
    queueMicrotask(() => this.#script.onLine?.(frame));
  }

  closeSession(sessionId: string): void {
    this.#open.delete(sessionId);
  }

  /** Ends every session as a plugin's death does, and takes the link down. */
  noteExit(exit: RuntimeExit): void {
    this.up = false;
    this.ready = false;
    for (const id of [...this.#open.keys()]) this.#lose(id, exitFault(exit));
  }

  async ping(signal: AbortSignal): Promise<RuntimeHealth> {
    signal.throwIfAborted();
    this.#checkUp();
    return {
      alive: true,
      heartbeatAgeMs: 0,
      residentBytes: 0,
      oomKills: 0,
      openSessions: this.#open.size,
      ...this.#script.health,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.up = false;
    for (const id of [...this.#open.keys()]) this.#lose(id, new Fault("link_lost", "The link was closed."));
  }

  #checkUp(): void {
    if (!this.up) throw new Fault("link_lost", "The plugin is not connected.");
  }

  #session(id: string, request: RequestFrame): FakeSession {
    const say = (type: SessionFrame["type"], data: unknown): void => {
      const listener = this.#open.get(id);
      if (type === "end") this.#open.delete(id);
      listener?.onFrame({ type, data }, Buffer.byteLength(JSON.stringify(data)) + 100);
    };
    return {
      id,
      request,
      stream: (data) => say("stream", data),
      invoke: (data) => say("invoke", data),
      error: (data) => say("error", data),
      end: () => say("end", {}),
      lose: (fault) => this.#lose(id, fault),
    };
  }

  #lose(id: string, fault: Fault): void {
    const listener = this.#open.get(id);
    this.#open.delete(id);
    listener?.onLost(fault);
  }
}
