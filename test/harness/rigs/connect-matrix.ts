/** What a plugin can connect to, asked from inside its container. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createServer, type Server } from "node:net";
import { networkInterfaces } from "node:os";
import { connectProbe } from "../../../src/egress/connect-probe.ts";
import type { Engine } from "../../../src/engine/engine.ts";
import { Scope } from "../../../src/util/scope.ts";
import { eventually } from "../clients/client.ts";

const PROBE_MS = 3_000;

/** Target to `open` or the name of an error. */
export async function connectFrom(
  engine: Engine,
  containerId: string,
  targets: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  const said = await execIn(engine, containerId, connectProbe(targets, { timeoutMs: PROBE_MS }));
  return JSON.parse(said) as Record<string, string>;
}

/** The standard output of a command in a container; throws with all that it said where it fails. */
async function execIn(engine: Engine, containerId: string, command: readonly string[]): Promise<string> {
  const out = { stdout: "", stderr: "" };
  const spec = {
    command,
    env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    workingDir: "/",
    user: "65534:65534",
  };
  const { exitCode } = await engine.exec(
    containerId,
    spec,
    {
      onOutput: (chunk, stream) => {
        out[stream] += chunk.toString();
      },
    },
    AbortSignal.timeout(60_000),
  );
  if (exitCode !== 0) throw new Error(`${command[0]} in ${containerId}: ${out.stdout}${out.stderr}`);
  return out.stdout;
}

/** The IPv4 addresses of this machine, but for its loop and for bridges, which other tests make and remove meanwhile. */
export function hostAddresses(): readonly string[] {
  return Object.entries(networkInterfaces())
    .filter(([name]) => !name.startsWith("br-"))
    .flatMap(([, all]) => all ?? [])
    .filter(({ family, internal }) => family === "IPv4" && !internal)
    .map(({ address }) => address);
}

export interface Listener extends AsyncDisposable {
  readonly port: number;
}

/** A service of the host that listens on all of its addresses. */
export async function listenEverywhere(): Promise<Listener> {
  const server: Server = createServer((socket) => void socket.on("error", () => undefined).end());
  await new Promise<void>((resolve) => server.listen(0, "0.0.0.0", resolve));
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return {
    port: address.port,
    [Symbol.asyncDispose]: () => new Promise((resolve) => server.close(() => resolve())),
  };
}

export interface OutsideHost extends AsyncDisposable {
  readonly address: string;
  readonly port: number;
}

/** A machine beyond this one: in a network of its own, at the other end of a cable. */
export async function openOutsideHost(): Promise<OutsideHost> {
  const scope = new Scope();
  try {
    const holder = begin("unshare", ["--net", "sh", "-c", "echo up && exec sleep infinity"]);
    scope.add(() => stop(holder));
    await said(holder, /up/);
    const [pid, id] = [String(holder.pid), Math.floor(Math.random() * 4096).toString(16)];
    // Of the blocks that are for documentation: nobody's addresses.
    const net = `203.0.113.${4 * Math.floor(Math.random() * 64)}`.split(".").map(Number);
    const at = (n: number) => [...net.slice(0, 3), (net[3] ?? 0) + n].join(".");
    const ip = (...args: string[]) => execFileSync("ip", args);
    const inside = (...args: string[]) => run("nsenter", [`--net=/proc/${pid}/ns/net`, "ip", ...args]);
    ip("link", "add", `bo${id}`, "type", "veth", "peer", "name", `bi${id}`, "netns", pid);
    scope.add(() => void execFileSync("ip", ["link", "del", `bo${id}`]));
    ip("addr", "add", `${at(1)}/30`, "dev", `bo${id}`);
    ip("link", "set", `bo${id}`, "up");
    inside("addr", "add", `${at(2)}/30`, "dev", `bi${id}`);
    inside("link", "set", `bi${id}`, "up");
    inside("route", "add", "default", "via", at(1));
    const serve = `require("net").createServer((s) => s.on("error", () => {}).end("outside")).listen(8080, "0.0.0.0", () => console.log("up"))`;
    const server = begin("nsenter", [`--net=/proc/${pid}/ns/net`, process.execPath, "-e", serve]);
    scope.add(() => stop(server));
    await said(server, /up/);
    return { address: at(2), port: 8080, [Symbol.asyncDispose]: () => scope.close() };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

function begin(command: string, args: readonly string[]): ChildProcess {
  return spawn(command, args, { stdio: ["ignore", "pipe", "inherit"] });
}

function run(command: string, args: readonly string[]): void {
  execFileSync(command, args);
}

function said(child: ChildProcess, what: RegExp): Promise<void> {
  return new Promise((resolve, reject) => {
    child.stdout?.on("data", (chunk: Buffer) => what.test(chunk.toString()) && resolve());
    child.once("exit", (code) => reject(new Error(`ended with ${code}`)));
  });
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill("SIGKILL");
  await ended;
}

/** Starts a server in a running container, which ends with it. */
export async function serveIn(engine: Engine, containerId: string, port: number): Promise<void> {
  const line = `/usr/local/bin/python3 -m http.server ${port} >/dev/null 2>&1 &`;
  await execIn(engine, containerId, ["/bin/sh", "-c", line]);
  await eventually(async () => {
    const found = await connectFrom(engine, containerId, [`127.0.0.1:${port}`]);
    return found[`127.0.0.1:${port}`] === "open" ? true : undefined;
  });
}
