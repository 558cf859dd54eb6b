/** Creates, starts, stops and removes containers. Each operation may be repeated. */
import { z } from "zod";
import type { ContainerSpec, LiveResources } from "../../domain/container.ts";
import { Fault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import type { Clock } from "../../util/clock.ts";
import { type DockerClient, parseAnswer } from "./client.ts";
import { checkName } from "./errors.ts";
import { inspectImage } from "./images.ts";
import { inspectContainer } from "./inspect.ts";
import { translateLimits, translateSpec } from "./translate.ts";

export interface ContainerDeps {
  readonly client: DockerClient;
  readonly clock: Clock;
  readonly log: Log;
  readonly callTimeoutMs: number;
  readonly pollMs: number;
}

const Created = z.object({ Id: z.string(), Warnings: z.array(z.string()).nullish() });

const Updated = z.object({ Warnings: z.array(z.string()).nullish() });

export async function createContainer(
  deps: ContainerDeps,
  options: { spec: ContainerSpec; cpuMillisMax: number },
  signal: AbortSignal,
): Promise<string> {
  const { client, log } = deps;
  const { spec, cpuMillisMax } = options;
  const name = checkName("container", spec.name);
  if (spec.network !== "none") checkName("network", spec.network);
  const image = await inspectImage(client, spec.image, signal);
  if (image === undefined) throw new Fault("not_found", `The Engine has no image ${spec.image}.`);
  const body = translateSpec(spec, image, { cpuMillisMax });
  const request = { method: "POST", path: "/containers/create", query: { name }, body } as const;
  signal.throwIfAborted();
  // The engine finishes even if the caller hangs up, and nobody would know the container: so the call is not aborted.
  const { body: answer } = await client.call(request, new AbortController().signal);
  const made = parseAnswer(Created, answer, "a new Container");
  // A warning means a limit that the kernel will not enforce.
  for (const warning of made.Warnings ?? []) log.warn({ op: "container.create", container: name, warning });
  if (signal.aborted) {
    await removeContainer(deps, made.Id, AbortSignal.timeout(deps.callTimeoutMs));
    throw signal.reason;
  }
  return made.Id;
}

export async function startContainer(
  { client }: ContainerDeps,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  await client.call({ method: "POST", path: pathOf(id, "start"), accept: [304] }, signal);
}

export async function updateContainer(
  deps: Pick<ContainerDeps, "client" | "log"> & {
    readonly cpuMillisMax: (signal: AbortSignal) => Promise<number>;
  },
  { id, resources }: { id: string; resources: LiveResources },
  signal: AbortSignal,
): Promise<void> {
  const { client, log } = deps;
  const body = translateLimits(resources, { cpuMillisMax: await deps.cpuMillisMax(signal) });
  const request = { method: "POST", path: pathOf(id, "update"), body } as const;
  const { Warnings } = parseAnswer(Updated, (await client.call(request, signal)).body, "changed limits");
  for (const warning of Warnings ?? []) log.warn({ op: "container.update", container: id, warning });
}

/** The engine takes whole seconds, so the grace period is rounded up. Succeeds for a container that does not exist. */
export async function stopContainer(
  { client, callTimeoutMs }: ContainerDeps,
  options: { id: string; graceMs: number },
  signal: AbortSignal,
): Promise<void> {
  const seconds = Math.ceil(Math.max(0, options.graceMs) / 1_000);
  await client.call(
    {
      method: "POST",
      path: pathOf(options.id, "stop"),
      query: { t: String(seconds) },
      accept: [304, 404],
      timeoutMs: seconds * 1_000 + callTimeoutMs,
    },
    signal,
  );
}

/** Resolves when the container no longer runs. */
export async function killContainer(deps: ContainerDeps, id: string, signal: AbortSignal): Promise<void> {
  const request = { method: "POST", path: pathOf(id, "kill"), query: { signal: "SIGKILL" } } as const;
  const { status } = await deps.client.call({ ...request, accept: [404, 409] }, signal);
  if (status === 404) return;
  await until(deps, `the end of ${id}`, signal, async () => {
    const found = await inspectContainer(deps.client, id, signal);
    return found === undefined || found.state.phase !== "running";
  });
}

/** 409 says that a removal is in progress: then this waits for its end. */
export async function removeContainer(deps: ContainerDeps, id: string, signal: AbortSignal): Promise<void> {
  const path = `/containers/${checkName("container", id)}`;
  const request = { method: "DELETE", path, query: { force: "1", v: "1" } } as const;
  const { status } = await deps.client.call({ ...request, accept: [404, 409] }, signal);
  if (status !== 409) return;
  await until(
    deps,
    `the removal of ${id}`,
    signal,
    async () => (await inspectContainer(deps.client, id, signal)) === undefined,
  );
}

/** Polls until `isDone`; throws `engine_unavailable` after `callTimeoutMs`. */
export async function until(
  { clock, callTimeoutMs, pollMs }: Pick<ContainerDeps, "clock" | "callTimeoutMs" | "pollMs">,
  what: string,
  signal: AbortSignal,
  isDone: () => Promise<boolean>,
): Promise<void> {
  const deadline = clock.now() + callTimeoutMs;
  while (!(await isDone())) {
    if (clock.now() >= deadline) {
      throw new Fault("engine_unavailable", `The Engine did not finish within ${callTimeoutMs} ms: ${what}.`);
    }
    await clock.sleep(pollMs, signal);
  }
}

function pathOf(id: string, action: string): string {
  return `/containers/${checkName("container", id)}/${action}`;
}
