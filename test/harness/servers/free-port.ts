import { randomInt } from "node:crypto";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";

const LEAST = 10_000;

/**
 * A port that nobody listens on now: a server that is stopped and started again must come back where it was. It is
 * below those that the kernel gives away by itself, so that no connection has it when the server starts.
 */
export async function freePort(): Promise<number> {
  const range = await readFile("/proc/sys/net/ipv4/ip_local_port_range", "utf8");
  const first = Number.parseInt(range, 10);
  for (;;) {
    // where the kernel gives away all of them there is nothing better
    const port = randomInt(LEAST, first > LEAST ? first : 65_536);
    if (await isFree(port)) return port;
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false;
  }
  server.close();
  await once(server, "close");
  return true;
}
