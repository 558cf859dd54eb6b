/** A mark is an empty volume that nothing mounts: made once whoever asks, kept with the labels of the first. */
import { z } from "zod";
import { type DockerClient, parseAnswer } from "./client.ts";
import { checkName } from "./errors.ts";

const Volume = z.object({ Name: z.string(), Labels: z.record(z.string(), z.string()).nullish() });
type Labels = Readonly<Record<string, string>>;

/** The Engine answers the making of a volume that is there with that volume (ran: API 1.41), so two never both win. */
export async function ensureMark(
  client: DockerClient,
  { name, labels }: { readonly name: string; readonly labels: Labels },
  signal: AbortSignal,
): Promise<Labels> {
  const body = { Name: checkName("mark", name), Driver: "local", Labels: { ...labels } };
  const answer = await client.call({ method: "POST", path: "/volumes/create", body }, signal);
  return parseAnswer(Volume, answer.body, "a volume").Labels ?? {};
}

export async function findMark(
  client: DockerClient,
  name: string,
  signal: AbortSignal,
): Promise<Labels | undefined> {
  const path = `/volumes/${checkName("mark", name)}`;
  const { status, body } = await client.call({ method: "GET", path, accept: [404] }, signal);
  return status === 404 ? undefined : (parseAnswer(Volume, body, "a volume").Labels ?? {});
}

export async function removeMark(client: DockerClient, name: string, signal: AbortSignal): Promise<void> {
  const path = `/volumes/${checkName("mark", name)}`;
  await client.call({ method: "DELETE", path, accept: [404] }, signal);
}
