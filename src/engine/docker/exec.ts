import type { Readable } from "node:stream";
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import type { ExecSpec } from "../engine.ts";
import { parseAnswer } from "./client.ts";
import { type ContainerDeps, killContainer, until } from "./containers.ts";
import { checkName, cut } from "./errors.ts";
import { demultiplex } from "./framing.ts";

export interface ExecDeps extends ContainerDeps {
  readonly frameBytesMax: number;
}

export interface ExecRequest {
  readonly id: string;
  readonly spec: ExecSpec;
  readonly onOutput: (chunk: Buffer, stream: "stdout" | "stderr") => void;
}

const Made = z.object({ Id: z.string().regex(/^[0-9a-f]{12,64}$/) });
const Inspected = z.object({ Running: z.boolean(), ExitCode: z.number().nullable() });

/**
 * Closing the stream does not end the process. After an abort, or if the stream broke and its end is unknown, the whole
 * container is killed.
 */
export async function runExec(
  deps: ExecDeps,
  request: ExecRequest,
  signal: AbortSignal,
): Promise<{ exitCode: number }> {
  const execId = await createExec(deps, request, signal);
  try {
    return await follow(deps, request, execId, signal);
  } catch (error) {
    await killAfter(deps, request.id);
    throw deps.client.streamFailure(error, `exec in ${request.id}`, signal);
  }
}

async function createExec(
  { client }: ExecDeps,
  { id, spec }: ExecRequest,
  signal: AbortSignal,
): Promise<string> {
  const { body } = await client.call(
    {
      method: "POST",
      path: `/containers/${checkName("container", id)}/exec`,
      body: {
        AttachStdin: false,
        AttachStdout: true,
        AttachStderr: true,
        Tty: false,
        Cmd: [...spec.command],
        Env: Object.entries(spec.env).map(([key, value]) => `${key}=${value}`),
        WorkingDir: spec.workingDir,
        User: spec.user,
        Privileged: false,
      },
    },
    signal,
  );
  return parseAnswer(Made, body, "a new exec").Id;
}

async function follow(
  deps: ExecDeps,
  { id, onOutput }: ExecRequest,
  execId: string,
  signal: AbortSignal,
): Promise<{ exitCode: number }> {
  const { client, frameBytesMax } = deps;
  const path = `/exec/${execId}`;
  const output = await client.stream(
    { method: "POST", path: `${path}/start`, body: { Detach: false } },
    signal,
  );
  for await (const frame of demultiplex(output, { frameBytesMax })) onOutput(frame.data, frame.stream);
  // The stream has no length, so its end only means that the connection closed. The exit code proves the end.
  let exitCode: number | undefined;
  await until(deps, `an exec whose output ended`, signal, async () => {
    const { status, body } = await client.call(
      { method: "GET", path: `${path}/json`, accept: [404] },
      signal,
    );
    // The engine forgets execs when their container ends.
    if (status === 404) throw new Fault("conflict", `Container ${id} ended while a process ran in it.`);
    const found = parseAnswer(Inspected, body, "an exec");
    if (!found.Running && found.ExitCode !== null) exitCode = found.ExitCode;
    return exitCode !== undefined;
  });
  if (exitCode === undefined) throw cut("an exec without an exit code", undefined);
  return { exitCode };
}

async function killAfter(deps: ExecDeps, id: string): Promise<void> {
  try {
    await killContainer(deps, id, AbortSignal.timeout(deps.callTimeoutMs));
  } catch (error) {
    deps.log.warn({ op: "exec.kill", container: id, error: String(error) });
  }
}

/** Resolves when the engine has unpacked everything. A failure destroys the tar. */
export async function putArchive(
  { client }: ContainerDeps,
  options: { id: string; path: string; tar: Readable; timeoutMs: number },
  signal: AbortSignal,
): Promise<void> {
  const { id, path, tar, timeoutMs } = options;
  await client.call(
    {
      method: "PUT",
      path: `/containers/${checkName("container", id)}/archive`,
      query: { path: absolute(path) },
      tar,
      timeoutMs,
    },
    signal,
  );
}

export async function getArchive(
  { client }: ContainerDeps,
  options: { id: string; path: string },
  signal: AbortSignal,
): Promise<Readable> {
  const path = `/containers/${checkName("container", options.id)}/archive`;
  return await client.stream({ method: "GET", path, query: { path: absolute(options.path) } }, signal);
}

function absolute(path: string): string {
  if (path.startsWith("/")) return path;
  throw new Fault("invalid_input", `path is ${JSON.stringify(path)}; accepted: an absolute path.`, {
    details: { field: "path", value: path, accepted: "an absolute path" },
  });
}
