import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import type { LabelFilter, NetworkAddresses, NetworkSpec } from "../engine.ts";
import { type DockerClient, parseAnswer } from "./client.ts";
import { checkName } from "./errors.ts";
import { labelQuery } from "./translate.ts";

const BRIDGE = "com.docker.network.bridge.name";
const ICC = "com.docker.network.bridge.enable_icc";

const Inspected = z.object({
  Name: z.string(),
  Driver: z.string(),
  EnableIPv6: z.boolean(),
  Options: z.record(z.string(), z.string()).nullish(),
  IPAM: z.object({
    Config: z.array(z.object({ Subnet: z.string().default(""), Gateway: z.string().default("") })).nullish(),
  }),
});

/** While another worker makes the same network, the engine refuses ours and does not list that one yet. */
const MAKING = { looks: 25, everyMs: 200 };

/** Throws `conflict`, naming what differs, if a network of that name exists with other settings. */
export async function ensureNetwork(
  client: DockerClient,
  spec: NetworkSpec,
  signal: AbortSignal,
): Promise<NetworkAddresses> {
  checkName("bridge", spec.bridge);
  for (let looks = 1; ; looks++) {
    const found = await find(client, spec, signal);
    if (found !== undefined) return found;
    const isMade = await make(client, spec, { isLast: looks >= MAKING.looks }, signal);
    if (!isMade) await sleep(MAKING.everyMs, undefined, { signal });
  }
}

/** False if the name or the bridge is taken; the last try throws the engine's error instead. */
async function make(
  client: DockerClient,
  spec: NetworkSpec,
  { isLast }: { readonly isLast: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  const { status } = await client.call(
    {
      method: "POST",
      path: "/networks/create",
      body: {
        Name: checkName("network", spec.name),
        CheckDuplicate: true,
        Driver: "bridge",
        EnableIPv6: false,
        ...(spec.subnet === undefined ? {} : { IPAM: { Config: [{ Subnet: spec.subnet }] } }),
        Options: { [BRIDGE]: spec.bridge, [ICC]: String(spec.betweenContainers) },
        Labels: { ...spec.labels },
      },
      accept: isLast ? [] : [403, 409],
    },
    signal,
  );
  return status !== 403 && status !== 409;
}

export async function listNetworks(
  client: DockerClient,
  labels: LabelFilter,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const query = { filters: JSON.stringify({ label: labelQuery(labels) }) };
  const { body } = await client.call({ method: "GET", path: "/networks", query }, signal);
  return parseAnswer(z.array(z.object({ Name: z.string() })), body, "a list of networks").map(
    ({ Name }) => Name,
  );
}

/** Throws `conflict` while containers are on it. */
export async function removeNetwork(client: DockerClient, name: string, signal: AbortSignal): Promise<void> {
  const path = `/networks/${checkName("network", name)}`;
  const { status } = await client.call({ method: "DELETE", path, accept: [403, 404] }, signal);
  if (status === 403) throw new Fault("conflict", `Network ${name} is in use.`);
}

async function find(
  client: DockerClient,
  spec: NetworkSpec,
  signal: AbortSignal,
): Promise<NetworkAddresses | undefined> {
  const path = `/networks/${checkName("network", spec.name)}`;
  const { status, body } = await client.call({ method: "GET", path, accept: [404] }, signal);
  if (status === 404) return undefined;
  const found = parseAnswer(Inspected, body, "a network");
  // The path also matches the beginning of an id.
  if (found.Name !== spec.name) return undefined;
  const { Subnet: subnet = "", Gateway: gateway = "" } = found.IPAM.Config?.[0] ?? {};
  const wanted = {
    driver: "bridge",
    bridge: spec.bridge,
    betweenContainers: spec.betweenContainers,
    ipv6: false,
    subnet: spec.subnet ?? subnet,
  };
  const actual = {
    driver: found.Driver,
    bridge: found.Options?.[BRIDGE],
    betweenContainers: found.Options?.[ICC] !== "false",
    ipv6: found.EnableIPv6,
    subnet,
  };
  if (JSON.stringify(wanted) === JSON.stringify(actual)) return { subnet, gateway };
  throw new Fault("conflict", `Network ${spec.name} exists with other settings than Berth needs.`, {
    details: { field: "network", value: actual, accepted: wanted },
  });
}
