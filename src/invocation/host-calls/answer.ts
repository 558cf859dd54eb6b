import type { Fault } from "../../domain/fault.ts";
import type { HostCallFrame } from "../../domain/frame.ts";

/** The session whose plugin gets an answer. */
export interface AnswerTarget {
  readonly sessionId: string;
  /**
   * Writes a line to the plugin. Undefined when it is written, otherwise a promise that resolves when the plugin has
   * read enough for it. Does nothing once the session has ended. Throws `frame_too_large`.
   */
  readonly send: (line: string) => Promise<void> | undefined;
}

/**
 * The answer to one call back, as lines to the plugin: any number of items, then the end, or an error and the end. Lines
 * wait in order while the plugin does not read. Methods throw `frame_too_large`, or reject with it.
 */
export class HostCallAnswer {
  readonly #call: Pick<HostCallFrame, "id" | "type">;
  readonly #target: AnswerTarget;
  readonly #message: string;
  #waiting: Promise<void> | undefined;
  #bufferedBytes = 0;
  #items = 0;

  constructor(call: Pick<HostCallFrame, "id" | "type">, target: AnswerTarget, message: string) {
    this.#call = call;
    this.#target = target;
    this.#message = message;
  }

  /** Length of the lines that wait, as a caller's buffer. */
  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  get items(): number {
    return this.#items;
  }

  /** `data` is JSON text that goes to the plugin unchanged. Undefined when the line is written. */
  item(data: string): Promise<void> | undefined {
    this.#items++;
    return this.#send(this.#line("response", this.#message, data));
  }

  end(): Promise<void> | undefined {
    return this.#send(this.#line("end", ""));
  }

  /** The SDK raises this text in the plugin's code. */
  fail(fault: Fault): Promise<void> | undefined {
    const { type } = this.#call;
    const waits = this.#send(this.#line("error", `${type}: ${fault.message}`));
    const end = this.end();
    return waits === undefined ? end : waits.then(() => end);
  }

  #send(line: string): Promise<void> | undefined {
    if (this.#waiting !== undefined) return this.#queue(line, this.#waiting);
    const waits = this.#target.send(line);
    return waits === undefined ? undefined : this.#hold(line, waits);
  }

  #queue(line: string, before: Promise<void>): Promise<void> {
    const next = () => this.#target.send(line);
    return this.#hold(line, before.then(next, next));
  }

  #hold(line: string, waits: Promise<void>): Promise<void> {
    this.#bufferedBytes += line.length;
    const done: Promise<void> = waits.finally(() => {
      this.#bufferedBytes -= line.length;
      if (this.#waiting === done) this.#waiting = undefined;
    });
    this.#waiting = done;
    done.catch(() => undefined);
    return done;
  }

  #line(event: string, message: string, data = "null"): string {
    const session = JSON.stringify(this.#target.sessionId);
    const about = `"backwards_request_id":${JSON.stringify(this.#call.id)},"event":"${event}"`;
    return (
      `{"session_id":${session},"conversation_id":null,"message_id":null,"app_id":null,"endpoint_id":null,"context":null,` +
      `"event":"backwards_response","data":{${about},"message":${JSON.stringify(message)},"data":${data}}}`
    );
  }
}
