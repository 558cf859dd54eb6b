/** Stands in front of an S3 server and sees each request, so that a test can count, refuse or break them in the middle. */
import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { Transform } from "node:stream";

export interface SeenRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingMessage["headers"];
}

/** What becomes of a request instead of passing. */
export type Turn =
  | { readonly answer: number; readonly code: string }
  /** After so many bytes of the body in that direction nothing passes any more; then both ends are cut. */
  | {
      readonly breakAfterBytes: number;
      readonly direction: "up" | "down";
      readonly meanwhile: () => Promise<void>;
    };

export interface S3Front extends AsyncDisposable {
  readonly endpoint: string;
  readonly seen: readonly SeenRequest[];
  /** Asked for each request; undefined: it passes. */
  turn: (seen: SeenRequest) => Turn | undefined | Promise<Turn | undefined>;
}

export async function startS3Front(target: string): Promise<S3Front> {
  const seen: SeenRequest[] = [];
  const server = createServer((incoming, answer) => {
    incoming.on("error", () => undefined);
    answer.on("error", () => undefined);
    const { method = "", url = "", headers } = incoming;
    const one = { method, path: url, headers };
    seen.push(one);
    void Promise.resolve(front.turn(one)).then((turn) => pass(target, incoming, answer, turn));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  const front: S3Front = {
    endpoint: `http://localhost:${address.port}`,
    seen,
    turn: () => undefined,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
    },
  };
  return front;
}

function pass(
  target: string,
  incoming: IncomingMessage,
  answer: ServerResponse,
  turn: Turn | undefined,
): void {
  if (turn !== undefined && "answer" in turn) {
    incoming.resume();
    answer.writeHead(turn.answer, { "content-type": "application/xml" });
    answer.end(`<?xml version="1.0"?><Error><Code>${turn.code}</Code><Message>no</Message></Error>`);
    return;
  }
  const { method, url, rawHeaders } = incoming;
  const cut = () => {
    incoming.socket.destroy();
    upstream.destroy();
  };
  const upstream = request(new URL(url ?? "/", target), { method, headers: rawHeaders }, (response) => {
    answer.writeHead(response.statusCode ?? 502, response.rawHeaders);
    const down = turn?.direction === "down" ? breaking(turn, cut) : undefined;
    (down === undefined ? response : response.pipe(down)).pipe(answer);
    response.on("error", cut);
  });
  upstream.on("error", cut);
  const up = turn?.direction === "up" ? breaking(turn, cut) : undefined;
  (up === undefined ? incoming : incoming.pipe(up)).pipe(upstream);
}

/** Lets so many bytes pass, waits for what the test does then, and cuts. */
function breaking(
  { breakAfterBytes, meanwhile }: Exclude<Turn, { answer: number }>,
  cut: () => void,
): Transform {
  let left = breakAfterBytes;
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      if (left <= 0) return;
      const passed = chunk.subarray(0, left);
      left -= chunk.length;
      done(null, passed);
      if (left <= 0) void meanwhile().then(cut);
    },
  });
}
