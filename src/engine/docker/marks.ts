/** A mark is an empty volume that nothing mounts. The first caller makes it, and its labels stay. */
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import type { EngineMark, LabelFilter } from "../engine.ts";
import { type DockerClient, parseAnswer } from "./client.ts";
import { checkName } from "./errors.ts";
import { labelQuery } from "./translate.ts";

const Volume = z.object({ Name: z.string(), Labels: z.record(z.string(), z.string()).nullish() });
const VolumeList = z.object({ Volumes: z.array(Volume).nullish() });
type Labels = Readonly<Record<string, string>>;

/** An engine that has just started lists its volumes before it has loaded their labels (seen with 20.10). */
const READING = { looks: 25, everyMs: 200 };

/**
 * The engine answers a request for a volume that exists with that volume (seen with API 1.41), so two callers never both
 * win. Answers no labels if the engine did not load them in time.
 */
export async function ensureMark(
  client: DockerClient,
  { name, labels }: { readonly name: string; readonly labels: Labels },
  signal: AbortSignal,
): Promise<Labels> {
  const body = { Name: checkName("mark", name), Driver: "local", Labels: { ...labels } };
  for (let looks = 1; ; looks++) {
    const answer = await client.call({ method: "POST", path: "/volumes/create", body }, signal);
    const found = parseAnswer(Volume, answer.body, "a volume").Labels ?? {};
    const isRead = Object.keys(found).length > 0 || Object.keys(labels).length === 0;
    if (isRead || looks >= READING.looks) return found;
    await sleep(READING.everyMs, undefined, { signal });
  }
}

export async function listMarks(
  client: DockerClient,
  labels: LabelFilter,
  signal: AbortSignal,
): Promise<readonly EngineMark[]> {
  const query = { filters: JSON.stringify({ label: labelQuery(labels) }) };
  const { body } = await client.call({ method: "GET", path: "/volumes", query }, signal);
  const { Volumes } = parseAnswer(VolumeList, body, "a list of volumes");
  return (Volumes ?? []).map(({ Name, Labels }) => ({ name: Name, labels: Labels ?? {} }));
}

export async function removeMark(client: DockerClient, name: string, signal: AbortSignal): Promise<void> {
  const path = `/volumes/${checkName("mark", name)}`;
  await client.call({ method: "DELETE", path, accept: [404] }, signal);
}
