/**
 * A runner with its plugin as plain processes on this machine, without a container: what the transport's tests and
 * bench drive. Everything is ended and removed by disposing it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Fault } from "../../../src/domain/fault.ts";
import type { SessionFrame } from "../../../src/domain/frame.ts";
import { RuntimeId } from "../../../src/domain/ids.ts";
import type { LinkListener, RuntimeExit, RuntimeLink, Transport } from "../../../src/transport/transport.ts";

const ROOT = resolve(import.meta.dirname, "../../..");

export interface RunnerProcess extends AsyncDisposable {
  readonly folder: string;
  readonly process: ChildProcess;
  /** What came out as the container's log so far. */
  readonly stdout: () => string;
  readonly stderr: () => string;
  readonly exited: Promise<{ code: number | null; signal: NodeJS.Signals | null }>;
}

export async function makeRunFolder(): Promise<string> {
  return mkdtemp(join(tmpdir(), "berth-run-"));
}

/** `plugin` names a folder of `test/plugins`, or is an absolute path. */
export async function startRunner(options: {
  plugin: string;
  folder?: string;
  args?: readonly string[];
  env?: Record<string, string>;
  python?: string;
}): Promise<RunnerProcess> {
  const folder = options.folder ?? (await makeRunFolder());
  await cp(join(ROOT, "runtime-images/python/runner.py"), join(folder, "runner.py"));
  const python = options.python ?? "python3";
  const cwd = resolve(ROOT, "test/plugins", options.plugin);
  const child = spawn(
    "python3",
    ["-I", "-S", join(folder, "runner.py"), "--folder", folder, "--cwd", cwd, ...(options.args ?? [])].concat(
      ["--", python, "-m", "main"],
    ),
    {
      stdio: ["ignore", "pipe", "pipe"],
      env: {
        PATH: process.env["PATH"] ?? "",
        PYTHONDONTWRITEBYTECODE: "1",
        // Where `berth_protocol` is, which a package of the plugin has beside its `main`.
        PYTHONPATH: join(ROOT, "test/plugins"),
        ...options.env,
      },
    },
  );
  let stdout = "";
  let stderr = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    stderr += text;
  });
  const exited = once(child, "close").then(([code, signal]) => ({ code, signal }));
  return {
    folder,
    process: child,
    stdout: () => stdout,
    stderr: () => stderr,
    exited,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface WatchedLink {
  readonly link: RuntimeLink;
  readonly notices: Record<string, unknown>[];
  readonly exits: RuntimeExit[];
  readonly events: string[];
  /** Resolves when the event has been seen `count` times since the link was made. */
  seen(event: "up" | "down" | "ready" | "exit" | "notice", count?: number): Promise<void>;
}

export async function openLink(
  transport: Transport,
  folder: string,
  options: { frameBytesMax?: number; id?: string } = {},
): Promise<WatchedLink> {
  const events: string[] = [];
  const notices: Record<string, unknown>[] = [];
  const exits: RuntimeExit[] = [];
  let wake = Promise.withResolvers<void>();
  const note = (event: string) => {
    events.push(event);
    wake.resolve();
    wake = Promise.withResolvers();
  };
  const listener: LinkListener = {
    onUp: () => note("up"),
    onDown: () => note("down"),
    onReady: () => note("ready"),
    onExit: (exit) => {
      exits.push(exit);
      note("exit");
    },
    onNotice: (notice) => {
      notices.push(notice);
      note("notice");
    },
  };
  const link = await transport.open({
    runtimeId: RuntimeId.parse(options.id ?? "0123456789"),
    folder,
    frameBytesMax: options.frameBytesMax ?? 16 * 1024 * 1024,
    listener,
  });
  return {
    link,
    notices,
    exits,
    events,
    seen: async (event, count = 1) => {
      while (events.filter((seen) => seen === event).length < count) await wake.promise;
    },
  };
}

export interface Outcome {
  readonly frames: SessionFrame[];
  readonly lost: Fault | undefined;
}

let nextSession = 0;

export function requestLine(
  sessionId: string,
  parameters: Record<string, unknown>,
  requestId?: string,
): string {
  return JSON.stringify({
    session_id: sessionId,
    ...(requestId !== undefined && { request_id: requestId }),
    conversation_id: null,
    message_id: null,
    app_id: null,
    endpoint_id: null,
    context: null,
    event: "request",
    data: {
      type: "tool",
      action: "invoke_tool",
      user_id: "user",
      provider: "p",
      tool: "t",
      credentials: {},
      tool_parameters: parameters,
    },
  });
}

/** One whole session; resolves with its frames at `end`, or with what ended it. */
export function callTool(
  link: RuntimeLink,
  parameters: Record<string, unknown>,
  hooks: { onFrame?: (frame: SessionFrame) => void; id?: string } = {},
): Promise<Outcome> {
  const sessionId = hooks.id ?? `s-${process.pid}-${nextSession++}`;
  const { promise, resolve: settle } = Promise.withResolvers<Outcome>();
  const frames: SessionFrame[] = [];
  link.openSession(sessionId, requestLine(sessionId, parameters), {
    onFrame: (frame) => {
      frames.push(frame);
      hooks.onFrame?.(frame);
      if (frame.type === "end") settle({ frames, lost: undefined });
    },
    onLost: (fault) => settle({ frames, lost: fault }),
  });
  return promise;
}

export function texts(outcome: Outcome): string[] {
  return outcome.frames
    .filter((frame) => frame.type === "stream")
    .map((frame) => (JSON.parse(frame.data.text) as { message: { text: string } }).message.text);
}
