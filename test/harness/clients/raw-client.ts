/** A client that sends and receives raw bytes, such as no HTTP library would send. */
import { connect, type Socket } from "node:net";
import { onTestFinished } from "vitest";

export class RawClient {
  readonly socket: Socket;
  readonly closed: Promise<void>;
  text = "";
  #waiting: { until: (text: string) => boolean; resolve: () => void }[] = [];

  /** What broke the connection. */
  error: Error | undefined;

  /** `allowHalfOpen`: it may still send after the server has sent its end. */
  constructor(port: number, { allowHalfOpen = false } = {}) {
    this.socket = connect({ host: "127.0.0.1", port, allowHalfOpen });
    this.socket.setEncoding("latin1");
    this.socket.on("error", (error) => {
      this.error = error;
    });
    this.closed = new Promise((resolve) => this.socket.once("close", () => resolve()));
    this.socket.on("data", (piece: string) => {
      this.text += piece;
      for (const { until, resolve } of this.#waiting) if (until(this.text)) resolve();
    });
    onTestFinished(() => void this.socket.destroy());
  }

  say(text: string): this {
    this.socket.write(text, "latin1");
    return this;
  }

  async heard(until: (text: string) => boolean): Promise<string> {
    if (!until(this.text)) {
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      this.#waiting.push({ until, resolve });
      this.socket.once("close", () => reject(new Error(`closed after ${JSON.stringify(this.text)}`)));
      await promise;
    }
    return this.text;
  }

  /** Everything received up to the end of the connection. */
  async end(): Promise<Answer[]> {
    await this.closed;
    return answersIn(this.text);
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: string;
  readonly body: string;
  readonly code: string | undefined;
}

export function answersIn(text: string): Answer[] {
  return text
    .split(/(?=HTTP\/1\.1 \d{3} )/)
    .filter((part) => part !== "")
    .map((part) => {
      const [headers = "", body = ""] = part.split("\r\n\r\n", 2);
      const code = /"code":"(\w+)"/.exec(body)?.[1];
      return { status: Number(part.slice(9, 12)), headers: headers.toLowerCase(), body, code };
    });
}

/** The last answer, whose connection was closed after it. */
export async function lastOf(client: RawClient): Promise<Answer> {
  const last = (await client.end()).at(-1);
  if (last === undefined) throw new Error("closed without an answer");
  return last;
}
