import { z } from "zod";
import type { ContainerPhase, ContainerState } from "../../domain/container.ts";
import type { LabelFilter } from "../engine.ts";
import { type DockerClient, parseAnswer } from "./client.ts";
import { checkName } from "./errors.ts";
import { labelQuery, matches, parseLabelMap } from "./translate.ts";

const Status = z.enum(["created", "running", "paused", "restarting", "removing", "exited", "dead"]);
const Labels = z.record(z.string(), z.string()).nullish();

const PHASES = {
  created: "created",
  running: "running",
  // Only a person at the engine pauses or restarts our containers; their processes still hold resources.
  paused: "running",
  restarting: "running",
  removing: "dead",
  exited: "exited",
  dead: "dead",
} as const satisfies Record<z.infer<typeof Status>, ContainerPhase>;

const Networks = z.record(z.string(), z.object({ IPAddress: z.string().nullish() })).nullish();

const Inspected = z.object({
  Id: z.string(),
  Name: z.string(),
  Image: z.string(),
  Created: z.string(),
  HostConfig: z.object({
    Memory: z.number().nullish(),
    NanoCpus: z.number().nullish(),
    PidsLimit: z.number().nullish(),
  }),
  Config: z.object({ Labels, Env: z.array(z.string()).nullish() }),
  State: z.object({
    Status,
    OOMKilled: z.boolean(),
    ExitCode: z.number(),
    StartedAt: z.string(),
    FinishedAt: z.string(),
  }),
  NetworkSettings: z.object({ Networks }).nullish(),
});

const Listed = z.array(
  z.object({
    Id: z.string(),
    Names: z.array(z.string()).nullish(),
    ImageID: z.string(),
    Labels,
    State: Status,
    Created: z.number(),
    NetworkSettings: z.object({ Networks }).nullish(),
  }),
);

export interface ContainerDetail {
  readonly state: ContainerState;
  readonly env: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

export async function inspectContainer(
  client: DockerClient,
  idOrName: string,
  signal: AbortSignal,
): Promise<ContainerDetail | undefined> {
  const path = `/containers/${checkName("container", idOrName)}/json`;
  const { status, body } = await client.call({ method: "GET", path, accept: [404] }, signal);
  if (status === 404) return undefined;
  const found = parseAnswer(Inspected, body, "a Container");
  const phase = PHASES[found.State.Status];
  const labels = found.Config.Labels ?? {};
  const state = {
    id: found.Id,
    name: found.Name.replace(/^\//, ""),
    image: found.Image,
    labels: parseLabelMap(labels),
    resources: {
      memoryBytes: found.HostConfig.Memory ?? 0,
      cpuMillis: Math.round((found.HostConfig.NanoCpus ?? 0) / 1_000_000),
      pidsMax: found.HostConfig.PidsLimit ?? 0,
    },
    address: addressIn(found.NetworkSettings?.Networks),
    phase,
    createdAt: new Date(found.Created),
    startedAt: parseTime(found.State.StartedAt),
    finishedAt: parseTime(found.State.FinishedAt),
    exitCode: phase === "exited" || phase === "dead" ? found.State.ExitCode : undefined,
    oomKilled: found.State.OOMKilled,
  };
  return { state, env: found.Config.Env ?? [], labels };
}

export async function listContainers(
  client: DockerClient,
  labels: LabelFilter,
  signal: AbortSignal,
): Promise<readonly ContainerState[]> {
  const query = { all: "1", filters: JSON.stringify({ label: labelQuery(labels) }) };
  const { body } = await client.call({ method: "GET", path: "/containers/json", query }, signal);
  return parseAnswer(Listed, body, "a list of Containers")
    .map((found) => ({
      id: found.Id,
      name: (found.Names?.[0] ?? "").replace(/^\//, ""),
      image: found.ImageID,
      labels: parseLabelMap(found.Labels),
      address: addressIn(found.NetworkSettings?.Networks),
      phase: PHASES[found.State],
      createdAt: new Date(found.Created * 1_000),
      startedAt: undefined,
      finishedAt: undefined,
      exitCode: undefined,
      oomKilled: false,
    }))
    .filter((container) => matches(container.labels, labels));
}

/** The first address: our containers are on one network. */
function addressIn(networks: z.infer<typeof Networks>): string | undefined {
  return (
    Object.values(networks ?? {}).find(({ IPAddress }) => (IPAddress ?? "") !== "")?.IPAddress ?? undefined
  );
}

/** The engine writes the year 1 for "never". */
function parseTime(text: string): Date | undefined {
  const time = new Date(text);
  return Number.isNaN(time.getTime()) || time.getTime() <= 0 ? undefined : time;
}
