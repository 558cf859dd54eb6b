/** What a plugin reaches, asked from inside its container, on the real engine. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { networkName, networkSpec } from "../../src/runtime/launch/profile.ts";
import { Scope } from "../../src/util/scope.ts";
import {
  type AcceptedInstall,
  eventually,
  install,
  type PackedPlugin,
  packPlugin,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import {
  connectFrom,
  hostAddresses,
  type Listener,
  listenEverywhere,
  type OutsideHost,
  openOutsideHost,
  serveIn,
} from "../harness/rigs/connect-matrix.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";

const scope = new Scope();
let site: Site;
let echo: PackedPlugin;
let outside: OutsideHost;
/** One of its addresses. */
let host = "";
/** Two services of the host; the operator allows the second. */
let [closed, allowed]: Listener[] = [];
/** A service as Compose starts it: in a network of its own, with two ports of the host; the operator allows the second. */
let neighbour: { readonly address: string; readonly port: number; readonly allowed: number };

beforeAll(async () => {
  host = hostAddresses()[0] ?? "";
  outside = scope.use(await openOutsideHost());
  closed = scope.use(await listenEverywhere());
  allowed = scope.use(await listenEverywhere());
  site = scope.use(await openSite({ env: { BERTH_HOST: "0.0.0.0" } }));
  echo = await packPlugin("echo");
  neighbour = startNeighbour();
});
afterAll(() => scope.close());

function docker(...args: string[]): string {
  return execFileSync("docker", args, { encoding: "utf8" }).trim();
}

function startNeighbour() {
  const name = `berth-test-egress-${process.pid}`;
  docker("network", "create", "--label", "berth.test=egress", name);
  scope.add(() => void docker("network", "rm", name));
  const image = docker("images", "-q", "--filter", "label=berth.kind=runtime-image").split("\n")[0] ?? "";
  const serve = (port: number) => `/usr/local/bin/python3 -m http.server ${port}`;
  const id = docker(
    "run",
    "-d",
    "--network",
    name,
    ...["-p", "0:8000", "-p", "0:8001"],
    "--label",
    "berth.test=egress",
    image,
    ...["sh", "-c", `${serve(8000)} & ${serve(8001)}`],
  );
  scope.add(() => void docker("rm", "-f", id));
  const address = docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id);
  const ofHost = (port: number) =>
    Number(docker("port", id, `${port}/tcp`).split("\n")[0]?.split(":").at(-1));
  return { address, port: ofHost(8000), allowed: ofHost(8001) };
}

const gateway = (instance: string) =>
  docker("network", "inspect", "-f", "{{(index .IPAM.Config 0).Gateway}}", networkName(instance));
const addressOf = (id: string) =>
  docker("inspect", "-f", "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}", id);

/** As whoever reloads a firewall does. */
function flushRules(table: string): void {
  const folder = join(import.meta.dirname, "../../runtime-images/python/egress");
  const lines = `import sys; sys.path.insert(0, ${JSON.stringify(folder)}); import nftables; nftables.remove(sys.argv[1])`;
  execFileSync("python3", ["-c", lines, table]);
}

/** Of a container that may be gone by now. */
function shown(id: string, format: string): string {
  try {
    return docker("inspect", "-f", format, id);
  } catch {
    return "";
  }
}

const modeOf = (id: string) => shown(id, "{{.HostConfig.NetworkMode}}");
const hostsOf = (id: string) => shown(id, "{{.HostConfig.ExtraHosts}}");

async function containerOf({ tenant }: AcceptedInstall): Promise<string> {
  const mine = (await site.containers()).filter(({ labels }) => labels["berth.tenant"] === tenant);
  return mine[0]?.id ?? "";
}

const instanceOf = (berth: BerthProcess) =>
  String(berth.log.find(({ op }) => op === "http.listen")?.["instance"]);

/** What a list opens for a container stands a moment after its start; until then all is closed. */
const isOpen = (container: string, target: string) =>
  eventually(async () => {
    const found = await connectFrom(site.engine, container, [target]);
    return found[target] === "open" ? true : undefined;
  });

const all = (targets: readonly string[], value: unknown) =>
  Object.fromEntries(targets.map((target) => [target, value]));

/** The first container of ours on that network that runs now, and is not `old`. */
const moved = (network: string, old = "") =>
  eventually(async () => {
    const running = (await site.containers()).filter(({ id, phase }) => phase === "running" && id !== old);
    return running.find(({ id }) => modeOf(id) === network)?.id;
  });

describe("by default", () => {
  let berth: BerthProcess;
  let [mine, siblings]: AcceptedInstall[] = [];
  let [plugin, sibling] = ["", ""];
  let env: Readonly<Record<string, string>>;

  beforeAll(async () => {
    env = {
      BERTH_EGRESS_ALLOW: `${host}:${allowed?.port},172.31.255.1/32,ollama:${neighbour.allowed}`,
      BERTH_EGRESS_HOSTS: "host.docker.internal=gateway,ollama=gateway",
    };
    berth = await site.start(env);
    mine = await install(berth, echo);
    siblings = await install(berth, echo);
    [plugin, sibling] = [await containerOf(mine), await containerOf(siblings)];
    await serveIn(site.engine, sibling, 8000);
  });
  afterAll(() => berth[Symbol.asyncDispose]());

  test("a plugin reaches the outside and what the operator allows, but no other host port, sibling or link-local address", async () => {
    const ofHost = [gateway(instanceOf(berth)), ...hostAddresses()];
    const refused = [
      ...ofHost.map((address) => `${address}:${closed?.port}`),
      ...ofHost.map((address) => `${address}:${new URL(berth.url).port}`),
      ...[...ofHost, "ollama", "host.docker.internal"].map((address) => `${address}:${neighbour.port}`),
      "169.254.169.254:80",
      "169.254.1.1:80",
    ];
    const open = [
      `${outside.address}:${outside.port}`,
      `${host}:${allowed?.port}`,
      `ollama:${neighbour.allowed}`,
    ];
    // By the engine's own rules too, which answer nothing.
    const others = [`${addressOf(sibling)}:8000`, `${neighbour.address}:8000`];
    const found = await connectFrom(site.engine, plugin, [...refused, ...others, ...open]);
    expect(found).toEqual({
      ...all(refused, "ECONNREFUSED"),
      ...all(others, expect.stringMatching(/^(ECONNREFUSED|ETIMEDOUT|EHOSTUNREACH)$/)),
      ...all(open, "open"),
    });
  });

  test("an installation can choose its own list, which opens nothing on the host, and return to the default", async () => {
    const path = `/v1/tenants/${mine?.tenant}/installations/${mine?.installationId}/egress`;
    const allow = [`${outside.address}:${outside.port}`, `${host}:${closed?.port}`];
    const chosen = { mode: "list", allow };
    expect(await berth.json(200, "PUT", path, { body: chosen })).toEqual({ ...chosen, effective: chosen });
    const listed = await moved(`berth-${instanceOf(berth)}-list`);
    const targets = [...allow, `${outside.address}:${outside.port + 1}`, `${host}:${allowed?.port}`];
    await isOpen(listed, allow[0] ?? "");
    const found = await connectFrom(site.engine, listed, targets);
    expect(targets.map((target) => found[target])).toEqual([
      "open",
      "ECONNREFUSED",
      "ECONNREFUSED",
      "ECONNREFUSED",
    ]);
    const wrong = { mode: "list", allow: ["nowhere"] };
    expect(await berth.json(400, "PUT", path, { body: wrong })).toMatchObject({
      error: { details: { field: "allow[0]", value: "nowhere" } },
    });
    await berth.json(200, "PUT", path, { body: { mode: "default" } });
    expect(await berth.json(200, "GET", path)).toMatchObject({
      mode: "default",
      effective: { mode: "open" },
    });
    plugin = await moved(`berth-${instanceOf(berth)}`, sibling);
  });

  test("the rules stay when Berth stops and when their guard is killed, and are restored after somebody flushes them", async () => {
    const instance = instanceOf(berth);
    const targets = [`${host}:${allowed?.port}`, `${host}:${closed?.port}`];
    const expected = { [targets[0] ?? ""]: "open", [targets[1] ?? ""]: "ECONNREFUSED" };
    await berth[Symbol.asyncDispose]();
    expect(await connectFrom(site.engine, sibling, targets)).toEqual(expected);
    const guard = `berth-${instance}-egress`;
    docker("kill", guard);
    expect(await connectFrom(site.engine, sibling, targets)).toEqual(expected);
    berth = await site.start(env);
    expect(docker("inspect", "-f", "{{.State.Running}}", guard)).toBe("true");
    flushRules(`berth_${instance.slice(0, 8)}`);
    await eventually(async () => {
      const found = await connectFrom(site.engine, sibling, targets);
      return found[targets[1] ?? ""] === "ECONNREFUSED" ? true : undefined;
    });
  });
});

describe("with a list", () => {
  let berth: BerthProcess;
  let plugin: string;
  const listed = () => [`service.example:${outside.port}`, `${host}:${allowed?.port}`];

  beforeAll(async () => {
    const names = ["service", "unlisted"].map((name) => `${name}.example=${outside.address}`);
    berth = await site.start({
      BERTH_EGRESS: "list",
      BERTH_EGRESS_ALLOW: listed().join(),
      BERTH_EGRESS_HOSTS: [...names, "host.docker.internal=gateway"].join(),
    });
    // One of an earlier Berth, which knows no such names, may still end its calls.
    plugin = await eventually(async () => {
      const running = (await site.containers()).filter(({ phase }) => phase === "running");
      return running.find(({ id }) => hostsOf(id).includes("service.example"))?.id;
    });
  });
  afterAll(() => berth[Symbol.asyncDispose]());

  test("a plugin reaches only what is listed, by name or address, and refusals are logged and counted", async () => {
    const refused = [
      `${outside.address}:${outside.port + 1}`,
      `host.docker.internal:${closed?.port}`,
      `${host}:${closed?.port}`,
      "169.254.169.254:80",
    ];
    // Another name of a listed address is that address.
    const open = [...listed(), `unlisted.example:${outside.port}`];
    for (const target of open) await isOpen(plugin, target);
    const found = await connectFrom(site.engine, plugin, [...open, ...refused, "nobody.example:443"]);
    expect(found).toEqual({
      ...all(open, "open"),
      ...all(refused, "ECONNREFUSED"),
      "nobody.example:443": "EAI_-2",
    });
    const lines = await eventually(async () => {
      const said = berth.log.filter(({ op }) => op === "egress.refused").map(({ to }) => String(to));
      return said.includes("nobody.example") && said.includes("169.254.169.254:80/tcp") ? said : undefined;
    });
    expect(lines).toContain(`${host}:${closed?.port}/tcp`);
    const metrics = await (await berth.request("GET", "/metrics")).text();
    const [, count] = /berth_egress_refused_total\{plugin="berth-tests\/echo"\} (\d+)/.exec(metrics) ?? [];
    expect(Number(count)).toBeGreaterThan(3);
  });
});

describe("with other settings", () => {
  test("containers move to the subnet that the operator chooses", async () => {
    const subnet = `10.${200 + (process.pid % 50)}.${Math.floor(Math.random() * 256)}.0/24`;
    await using berth = await site.start({ BERTH_EGRESS_SUBNET: subnet });
    const one = await moved(networkSpec(instanceOf(berth), { subnet }).name);
    expect(addressOf(one)).toMatch(new RegExp(`^${subnet.split(".").slice(0, 3).join("[.]")}[.]`));
  });

  test("containers have no network if plugins may reach nothing", async () => {
    await using _berth = await site.start({ BERTH_EGRESS: "none" });
    const target = `${outside.address}:${outside.port}`;
    expect(await connectFrom(site.engine, await moved("none"), [target])).toEqual({
      [target]: "ENETUNREACH",
    });
  });
});
