/**
 * A host without any network: a namespace of its own with a loopback and no route, an engine with a store of its own in
 * it, and whatever else the test starts there. Files are shared with the machine; a Unix socket is the way in.
 */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { request } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { Scope } from "../../../src/util/scope.ts";
import { eventually } from "../clients/client.ts";
import { type Ended, endOf } from "../processes/ended.ts";
import { freePort } from "../servers/free-port.ts";
import { BERTH_MAIN, inherited, makeDataFolder } from "./berth.ts";

type Env = Readonly<Record<string, string>>;

export interface OfflineHost extends AsyncDisposable {
  readonly engineSocket: string;
  /** For Berth and its commands on this host. */
  readonly env: Env;
  /** Starts `berth serve` there; resolves when it listens. */
  serve(): Promise<void>;
  /** Runs a command of Berth there to its end. */
  run(command: readonly string[]): Promise<Ended>;
  /** Asks that Berth with the operator's key; throws where the answer's status is another. */
  json<T = Readonly<Record<string, unknown>>>(
    status: number,
    method: string,
    path: string,
    body?: object | Buffer,
  ): Promise<T>;
  /** What the kernel says of the namespace. */
  network(): Promise<NetworkSeen>;
}

export interface NetworkSeen {
  readonly interfaces: readonly string[];
  readonly routes: readonly string[];
  /** Packets that somebody wanted to send and that had no way out. */
  readonly withoutRoute: number;
}

export async function openOfflineHost(env: Env): Promise<OfflineHost> {
  const scope = new Scope();
  try {
    const { path: folder } = scope.use(await makeDataFolder());
    const holder = started(scope, "unshare", [
      "--net",
      "sh",
      "-c",
      "ip link set lo up && echo up && exec sleep infinity",
    ]);
    await line(holder, /^up$/);
    const pid = String(holder.pid);
    const inside = (command: readonly string[]): [string, string[]] => [
      "nsenter",
      [`--net=/proc/${pid}/ns/net`, ...command],
    ];
    const engineSocket = await startEngine(scope, { folder: join(folder, "engine"), inside });
    const port = await freePort();
    const all: Env = {
      BERTH_DATA: join(folder, "d"),
      BERTH_ENGINE_SOCKET: engineSocket,
      BERTH_EGRESS: "none",
      BERTH_PORT: String(port),
      ...env,
    };
    return new Host({ scope, inside, engineSocket, env: all, pid, doorSocket: join(folder, "door"), port });
  } catch (error) {
    await scope.close();
    throw error;
  }
}

type Inside = (command: readonly string[]) => [string, string[]];

async function startEngine(
  scope: Scope,
  { folder, inside }: { readonly folder: string; readonly inside: Inside },
): Promise<string> {
  const socket = join(folder, "s.sock");
  execFileSync("mkdir", ["-p", folder]);
  const places = [
    "--data-root",
    join(folder, "root"),
    "--exec-root",
    join(folder, "exec"),
    "--pidfile",
    join(folder, "pid"),
  ];
  const bare = ["--bridge=none", "--iptables=false", "--ip6tables=false", "--log-level=error"];
  const dockerd = started(scope, ...inside(["dockerd", "--host", `unix://${socket}`, ...places, ...bare]));
  await eventually(async () => {
    if (dockerd.exitCode !== null) throw new Error(`the Engine ended with ${dockerd.exitCode}`);
    return (await ask(socket, { method: "GET", path: "/_ping" }).catch(() => undefined))?.status === 200
      ? true
      : undefined;
  });
  return socket;
}

/** A child that ends with the scope, by its own signal. */
function started(scope: Scope, command: string, args: readonly string[], env: Env = {}): ChildProcess {
  const child = spawn(command, args, {
    env: { ...inherited(), ...env },
    stdio: ["ignore", "pipe", process.env["BERTH_TEST_SHOW"] === undefined ? "ignore" : "inherit"],
  });
  const ended = once(child, "exit");
  scope.add(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    await ended;
  });
  return child;
}

async function line(child: ChildProcess, wanted: RegExp): Promise<void> {
  if (child.stdout === null) throw new Error("no output");
  const lines = createInterface(child.stdout);
  for await (const found of lines) if (wanted.test(found)) break;
  child.stdout.resume();
}

interface Parts {
  readonly scope: Scope;
  readonly inside: Inside;
  readonly engineSocket: string;
  readonly env: Env;
  readonly pid: string;
  readonly doorSocket: string;
  readonly port: number;
}

class Host implements OfflineHost {
  readonly #parts: Parts;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get engineSocket(): string {
    return this.#parts.engineSocket;
  }
  get env(): Env {
    return this.#parts.env;
  }

  async serve(): Promise<void> {
    const { scope, inside, env, doorSocket, port } = this.#parts;
    const berth = started(scope, ...inside([process.execPath, BERTH_MAIN, "serve"]), env);
    await line(berth, /"op":"http.listen"/);
    const relay = `require("node:net").createServer((c) => { const s = require("node:net").connect(${port}, "127.0.0.1"); c.pipe(s).pipe(c); s.on("error", () => c.destroy()); c.on("error", () => s.destroy()); }).listen(${JSON.stringify(doorSocket)}, () => console.log("open"))`;
    await line(started(scope, ...inside([process.execPath, "-e", relay])), /^open$/);
  }

  async run(command: readonly string[]): Promise<Ended> {
    const [file, args] = this.#parts.inside([process.execPath, BERTH_MAIN, ...command]);
    const child = spawn(file, args, {
      env: { ...inherited(), ...this.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    return await endOf(child);
  }

  async json<T>(status: number, method: string, path: string, body?: object | Buffer): Promise<T> {
    const key = (await readFile(join(this.env["BERTH_DATA"] ?? "", "admin-key"), "utf8")).trim();
    const sent = {
      method,
      path,
      body,
      headers: { authorization: `Bearer ${key}`, accept: "application/json" },
    };
    const answer = await ask(this.#parts.doorSocket, sent);
    if (answer.status !== status)
      throw new Error(`${method} ${path}: ${answer.status} instead of ${status}: ${answer.text}`);
    return JSON.parse(answer.text);
  }

  async network(): Promise<NetworkSeen> {
    const read = (name: string) => readFile(`/proc/${this.#parts.pid}/net/${name}`, "utf8");
    const [dev, route, snmp] = await Promise.all([read("dev"), read("route"), read("snmp")]);
    const [names = "", values = ""] = snmp.split("\n").filter((found) => found.startsWith("Ip:"));
    const at = names.split(" ").indexOf("OutNoRoutes");
    return {
      interfaces: [...dev.matchAll(/^\s*(\S+):/gm)].map(([, name = ""]) => name),
      routes: route.trim().split("\n").slice(1),
      withoutRoute: Number(values.split(" ")[at]),
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#parts.scope.close();
  }
}

interface Sent {
  readonly method: string;
  readonly path: string;
  readonly headers?: Env;
  readonly body?: object | Buffer | undefined;
}

async function ask(
  socketPath: string,
  { method, path, headers, body }: Sent,
): Promise<{ status: number; text: string }> {
  const bytes = body === undefined || Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body));
  const type = Buffer.isBuffer(body) ? "application/octet-stream" : "application/json";
  const sent = request({
    socketPath,
    method,
    path,
    headers: { ...headers, ...(body !== undefined && { "content-type": type }) },
  });
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>();
  sent.on("error", reject);
  sent.on("response", (answer) => {
    buffer(Readable.from(answer)).then(
      (found) => resolve({ status: answer.statusCode ?? 0, text: found.toString() }),
      reject,
    );
  });
  sent.end(bytes);
  return await promise;
}
