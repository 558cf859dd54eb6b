import { readdir, readFile, rm } from "node:fs/promises";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { silentLog } from "../../../src/observe/log.ts";
import {
  createSocketTransport,
  type SocketTransportOptions,
} from "../../../src/transport/socket/socket-transport.ts";
import type { RuntimeLink } from "../../../src/transport/transport.ts";
import {
  makeRunFolder,
  openLink,
  type RunnerProcess,
  startRunner,
  type WatchedLink,
} from "./runner-process.ts";

/** A link to a running plugin that has said its first heartbeat. */
export async function started(
  plugin: string,
  options: { args?: string[]; frameBytesMax?: number; transport?: Partial<SocketTransportOptions> } = {},
): Promise<{ watched: WatchedLink; link: RuntimeLink; runner: RunnerProcess; folder: string }> {
  const folder = await makeFolder();
  const { frameBytesMax } = options;
  const watched = await openLink(
    makeTransport(options.transport),
    folder,
    frameBytesMax === undefined ? {} : { frameBytesMax },
  );
  const runner = await run(plugin, folder, options.args);
  await watched.seen("ready");
  return { watched, link: watched.link, runner, folder };
}

export async function makeFolder(): Promise<string> {
  const folder = await makeRunFolder();
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

export function makeTransport(options: Partial<SocketTransportOptions> = {}) {
  const transport = createSocketTransport({ processId: "one", log: silentLog, ...options });
  onTestFinished(() => transport[Symbol.asyncDispose]() as Promise<void>);
  return transport;
}

export async function run(
  plugin: string,
  folder: string,
  args: string[] = [],
  env = {},
): Promise<RunnerProcess> {
  const runner = await startRunner({ plugin, folder, args, env });
  onTestFinished(async () => {
    const group = await pluginPid(runner).catch(() => undefined);
    await runner[Symbol.asyncDispose]();
    if (group !== undefined) killGroup(group);
  });
  return runner;
}

export async function pluginPid(runner: RunnerProcess): Promise<number> {
  const { pid } = runner.process;
  const [child] = (await readFile(`/proc/${pid}/task/${pid}/children`, "utf8")).trim().split(" ");
  if (child === undefined || child === "") throw new Error("the runner has no child");
  return Number(child);
}

export async function groupMembers(group: number): Promise<number> {
  let members = 0;
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const stat = await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "");
    const [state, , pgrp] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    if (pgrp === String(group) && state !== "Z") members++;
  }
  return members;
}

export function killGroup(group: number): void {
  try {
    process.kill(-group, "SIGKILL");
  } catch {
    // It is gone already.
  }
}

/** A host written by hand, which reads its data connection only when the test says so. */
export async function rawHost(
  folder: string,
  name: string,
): Promise<{ data: Socket; controlText: () => string }> {
  const server = createServer();
  onTestFinished(() => void server.close());
  server.listen(join(folder, `h-${name}.sock`));
  const sockets = new Map<string, Socket>();
  const both = Promise.withResolvers<void>();
  let control = "";
  server.on("connection", (socket) => {
    onTestFinished(() => void socket.destroy());
    socket.once("data", (hello: Buffer) => {
      socket.pause();
      const role = hello.toString().includes('"data"') ? "data" : "control";
      sockets.set(role, socket);
      if (role === "control") {
        socket.on("data", (text: Buffer) => {
          control += text.toString();
        });
        socket.resume();
      }
      if (sockets.size === 2) both.resolve();
    });
  });
  await both.promise;
  const data = sockets.get("data");
  if (data === undefined) throw new Error("no data connection came");
  return { data, controlText: () => control };
}
