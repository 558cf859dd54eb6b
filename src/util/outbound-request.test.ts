import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Server as TcpServer } from "node:net";
import { createSecureContext } from "node:tls";
import { afterEach, expect, test } from "vitest";
import { type OutboundRequest, readText, sendRequest } from "./outbound-request.ts";

const never = new AbortController().signal;
const started: (Server | TcpServer)[] = [];

afterEach(async () => {
  for (const server of started.splice(0)) {
    if ("closeAllConnections" in server) server.closeAllConnections();
    server.close();
  }
});

async function listen(server: Server | TcpServer): Promise<number> {
  started.push(server);
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

async function aServer(listener: RequestListener): Promise<string> {
  return `http://127.0.0.1:${await listen(createServer(listener))}/x`;
}

function to(url: string, rest: Partial<OutboundRequest> = {}): OutboundRequest {
  return { method: "GET", url: new URL(url), headers: {}, trust: createSecureContext(), ...rest };
}

test("method, headers and body arrive, on a connection that ends with the answer", async () => {
  const url = await aServer(async (request, response) => {
    const body = await Array.fromAsync(request);
    const { "user-agent": agent, "content-length": length, connection, accept } = request.headers;
    response.end(
      JSON.stringify({ method: request.method, agent, length, connection, accept, body: `${body}` }),
    );
  });
  const asked = to(url, { method: "POST", headers: { accept: "a/b" }, body: "é" });
  const answer = await sendRequest(asked, never);
  expect(answer.statusCode).toBe(200);
  expect(JSON.parse(await readText(answer, 1000))).toEqual({
    method: "POST",
    agent: "berth",
    length: "2",
    connection: "close",
    accept: "a/b",
    body: "é",
  });
});

test("an answer of any status is returned, and a redirect is not followed", async () => {
  const url = await aServer((_request, response) => response.writeHead(302, { location: "/y" }).end());
  const answer = await sendRequest(to(url), never);
  answer.resume();
  expect(answer.statusCode).toBe(302);
});

test("given addresses are used instead of looking up the name", async () => {
  const url = new URL(await aServer((request, response) => response.end(request.headers.host)));
  const asked = to(`http://nowhere.invalid:${url.port}/x`, {
    addresses: [{ address: "127.0.0.1", family: 4 }],
  });
  expect(await readText(await sendRequest(asked, never), 100)).toBe(`nowhere.invalid:${url.port}`);
});

test("a proxy gets the whole URL of the host", async () => {
  const proxy = await aServer((request, response) => response.end(request.url));
  const asked = to("http://nowhere.invalid/x", { proxy: new URL(proxy).origin });
  expect(await readText(await sendRequest(asked, never), 100)).toBe("http://nowhere.invalid/x");
});

test("a server that does not answer TLS is abandoned when the connect timeout is over", async () => {
  const port = await listen(createTcpServer());
  const asked = sendRequest(to(`https://127.0.0.1:${port}/`, { connectTimeoutMs: 50 }), never);
  await expect(asked).rejects.toThrow("no connection within 50 ms");
});

test("the connect timeout does not bound the answer", async () => {
  const url = await aServer((_request, response) => setTimeout(() => response.end("late"), 100));
  const answer = await sendRequest(to(url, { connectTimeoutMs: 50 }), never);
  expect(await readText(answer, 100)).toBe("late");
});

test("an abort ends the wait for the head, and cuts a body that is still arriving", async () => {
  const stop = new AbortController();
  const silent = await aServer(() => stop.abort(new Error("enough")));
  await expect(sendRequest(to(silent), stop.signal)).rejects.toMatchObject({ code: "ABORT_ERR" });
  const stopBody = new AbortController();
  const slow = await aServer((_request, response) => response.write("beginning"));
  const answer = await sendRequest(to(slow), stopBody.signal);
  const text = readText(answer, 100);
  stopBody.abort(new Error("enough"));
  await expect(text).rejects.toMatchObject({ code: "ECONNRESET" });
});

test("a body larger than its limit is refused", async () => {
  const url = await aServer((_request, response) => response.end("12345"));
  const read = async (bytesMax: number) => readText(await sendRequest(to(url), never), bytesMax);
  expect(await read(5)).toBe("12345");
  await expect(read(4)).rejects.toThrow("an answer of more than 4 bytes");
});
