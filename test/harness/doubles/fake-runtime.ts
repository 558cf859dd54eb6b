/** A runtime whose plugin is a function of the test. */
import { Fault } from "../../../src/domain/fault.ts";
import { protocolFault } from "../../../src/domain/frame.ts";
import { RuntimeId } from "../../../src/domain/ids.ts";
import type { RuntimeDirectory } from "../../../src/runtime/runtimes.ts";
import { parseSessionLine } from "../../../src/transport/codec.ts";
import { Sessions } from "../../../src/transport/socket/sessions.ts";
import type { RuntimeLink, SessionListener } from "../../../src/transport/transport.ts";

/** What a test does with one session, and sees of it. */
export interface FakeSession {
  readonly line: Record<string, unknown>;
  readonly data: Record<string, unknown>;
  item(data: unknown, bytes?: number): void;
  error(data: unknown): void;
  invoke(data: unknown): void;
  end(): void;
  /** The inner envelope as text, whatever it is. */
  raw(inner: string): void;
  lost(fault: Fault): void;
  /** Lines sent to the session after its request. */
  readonly sent: string[];
}

export type Script = (session: FakeSession) => void;

/** Answers with the tool's parameters as text, then ends the session. */
export const echoParameters: Script = (session) => {
  session.item({ type: "text", message: { text: JSON.stringify(session.data["tool_parameters"]) } });
  session.end();
};

/**
 * The only runtime of its directory: no pools, no restarts. Frames arrive in a later turn of the event loop, as they do
 * from a socket.
 */
export class FakeRuntime implements RuntimeDirectory {
  readonly id = RuntimeId.parse("abcdefghij");
  readonly sessions = new Map<string, FakeSession>();
  /** What listeners threw. */
  readonly thrown: unknown[] = [];
  readonly #open = new Sessions((_id, error) => this.thrown.push(error));
  readonly retired: string[] = [];
  script: Script;
  isReady = true;
  waits: { resolve: () => void }[] = [];
  refusal: Fault | undefined;
  readonly link: RuntimeLink;

  constructor(script: Script) {
    this.script = script;
    this.link = {
      runtimeId: this.id,
      up: true,
      ready: true,
      openSessions: 0,
      openSession: (id, line, listener) => this.#begin(id, line, listener),
      send: (line) => {
        const parsed: unknown = JSON.parse(line);
        this.sessions.get(String(Reflect.get(Object(parsed), "session_id")))?.sent.push(line);
        return undefined;
      },
      closeSession: (id) => {
        this.#open.close(id);
        this.sessions.delete(id);
      },
      noteExit: () => undefined,
      ping: () => Promise.reject(new Fault("link_lost", "a fake")),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  pick() {
    return this.isReady ? { id: this.id, poolKey: "0123456789abcdef", link: this.link } : undefined;
  }

  async wait(_poolKey: string, signal: AbortSignal) {
    if (this.refusal !== undefined) throw this.refusal;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => reject(signal.reason));
    this.waits.push({ resolve });
    await promise;
    return { id: this.id, poolKey: "0123456789abcdef", link: this.link };
  }

  status() {
    return Promise.resolve({ state: "starting" as const, cause: undefined, nextStartAt: undefined });
  }

  retire(id: string): void {
    this.retired.push(id);
  }

  #begin(id: string, line: string, listener: SessionListener): void {
    const parsed = JSON.parse(line) as Record<string, unknown> & { data: Record<string, unknown> };
    const raw = (inner: string, bytes = inner.length) => {
      const read = parseSessionLine(`{"event":"session","session_id":"${id}","data":${inner}}`);
      if (read.frame === undefined) this.#open.lose(id, protocolFault(read.breach));
      else this.#open.deliver(read, bytes);
    };
    const say = (type: string, data: unknown, bytes: number) => raw(JSON.stringify({ type, data }), bytes);
    const session: FakeSession = {
      line: parsed,
      data: parsed.data,
      sent: [],
      item: (data, bytes = 100) => say("stream", data, bytes),
      error: (data) => say("error", data, 100),
      invoke: (data) => say("invoke", data, 100),
      end: () => say("end", {}, 40),
      raw,
      lost: (fault) => this.#open.lose(id, fault),
    };
    this.#open.open(id, listener);
    this.sessions.set(id, session);
    setImmediate(() => this.script(session));
  }
}
