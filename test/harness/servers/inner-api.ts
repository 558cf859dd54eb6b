/** A platform's inner API that "encrypts" by turning secrets round, and does to its callers what a test says. */

import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo, Socket } from "node:net";
import { afterAll, beforeAll, beforeEach } from "vitest";
import { z } from "zod";

const Asked = z.object({
  opt: z.enum(["encrypt", "decrypt", "clear"]),
  data: z.record(z.string(), z.unknown()),
  config: z.array(z.object({ name: z.string(), type: z.string() })),
});

export interface AskedOfInnerApi {
  readonly url: string | undefined;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

export interface FakeInnerApi extends AsyncDisposable {
  readonly url: string;
  readonly asked: AskedOfInnerApi[];
  /** Connections that are open now. */
  readonly connections: number;
  /** In place of its own answer. */
  answer: ((response: ServerResponse, asked: AskedOfInnerApi) => void) | undefined;
}

/** One frame of a streamed answer. */
export function innerFrame(answer: object | string): Buffer {
  const payload = Buffer.from(typeof answer === "string" ? answer : JSON.stringify(answer));
  const header = Buffer.alloc(14);
  header[0] = 0x0f;
  header.writeUInt16LE(10, 2);
  header.writeUInt32LE(payload.length, 4);
  return Buffer.concat([header, payload]);
}

async function startInnerApi(): Promise<FakeInnerApi> {
  const asked: AskedOfInnerApi[] = [];
  const server = createServer((request, response) => {
    const parts: Buffer[] = [];
    request.on("data", (part: Buffer) => parts.push(part));
    request.on("end", () => {
      const body = Buffer.concat(parts).toString();
      const one = { url: request.url, headers: request.headers, body };
      asked.push(one);
      if (api.answer !== undefined) return api.answer(response, one);
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify({ data: { data: changed(body) }, error: "" }));
    });
  });
  const sockets = new Set<Socket>();
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  server.listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  const { port } = server.address() as AddressInfo;
  const api: FakeInnerApi = {
    url: `http://127.0.0.1:${port}`,
    asked,
    get connections() {
      return sockets.size;
    },
    answer: undefined,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return api;
}

function changed(body: string): Record<string, unknown> {
  const { opt, data, config } = Asked.parse(JSON.parse(body));
  if (opt === "clear") return data;
  const secrets = config.filter(({ type }) => type === "secret-input").map(({ name }) => name);
  return Object.fromEntries(
    Object.entries(data).map(([name, value]) => [
      name,
      secrets.includes(name) && typeof value === "string" ? turned(opt, value) : value,
    ]),
  );
}

function turned(opt: "encrypt" | "decrypt", value: string): string {
  const round = [...value].reverse().join("");
  if (opt === "encrypt") return `platform:${round}`;
  return value.startsWith("platform:") ? [...value.slice("platform:".length)].reverse().join("") : value;
}

/** One for all tests of the block that calls this; before each of them it has been asked nothing and answers as it does. */
export function useInnerApi(opened: (api: FakeInnerApi) => void): void {
  let api: FakeInnerApi;
  beforeAll(async () => {
    api = await startInnerApi();
    opened(api);
  });
  afterAll(() => api?.[Symbol.asyncDispose]());
  beforeEach(() => {
    api.answer = undefined;
    api.asked.length = 0;
  });
}
