import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { readConfig } from "../config.ts";
import { checkHealth } from "./health.ts";

let server: Server;
let status: number;
const asked: string[] = [];
beforeEach(async () => {
  status = 200;
  server = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.writeHead(status).end("words");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
});
afterEach(() => new Promise((resolve) => server.close(resolve)));

function check(env: Record<string, string> = {}) {
  const { port } = server.address() as AddressInfo;
  const { settings } = readConfig({ BERTH_HOST: "0.0.0.0", BERTH_PORT: String(port), ...env });
  return checkHealth({ settings, timeoutMs: 1000 });
}

test("a process that listens on all addresses is called at the local address", async () => {
  await check();
  expect(asked).toEqual(["/health"]);
});

test("an error status, silence and an unknown port are failures with their reason", async () => {
  status = 503;
  await expect(check()).rejects.toThrow(/answers 503: words/);
  await expect(check({ BERTH_HOST: "127.0.0.3" })).rejects.toThrow(
    /No process answers at http:\/\/127.0.0.3:/,
  );
  await expect(check({ BERTH_PORT: "0" })).rejects.toThrow(/^BERTH_PORT is/);
});
