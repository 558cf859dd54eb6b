import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";

/** A Redis of a test's own, with nothing on disk; it goes away when disposed. */
export async function startRedis(): Promise<AsyncDisposable & { readonly url: string }> {
  for (let tries = 0; ; tries++) {
    const port = await freePort();
    const options = { port, bind: "127.0.0.1", save: "", appendonly: "no", daemonize: "no" };
    const server = spawn(
      "redis-server",
      Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]),
      { stdio: ["ignore", "pipe", "ignore"] },
    );
    const exited = once(server, "exit");
    let said = "";
    for await (const chunk of server.stdout) {
      said += String(chunk);
      if (said.includes("Ready to accept connections")) break;
    }
    server.stdout.resume();
    if (server.exitCode === null && said.includes("Ready to accept connections")) {
      return {
        url: `redis://127.0.0.1:${port}`,
        async [Symbol.asyncDispose]() {
          server.kill("SIGKILL");
          await exited;
        },
      };
    }
    // Somebody was quicker on the port.
    if (tries === 5) throw new Error(`redis-server ended at its start: ${said}`);
  }
}

/** Free a moment ago. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return address.port;
}
