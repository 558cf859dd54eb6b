/**
 * Plugins whose code knows nothing of the operator's network, behind his authority and his proxy; and Berth itself,
 * which never uses that proxy.
 */
import { readdir, readFile, stat, writeFile } from "node:fs/promises";
import { createServer as createPlainServer } from "node:http";
import { createServer } from "node:https";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Scope } from "../../src/util/scope.ts";
import {
  eventually,
  failInstall,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { openSite, type Site } from "../harness/rigs/site.ts";
import { type Authority, makeAuthority } from "../harness/servers/authority.ts";
import { type RecordingProxy, startRecordingProxy } from "../harness/servers/recording-proxy.ts";
import { bridgeAddress, startWheelIndex } from "../harness/servers/wheel-index.ts";

const CLIENTS = ["requests", "httpx", "urllib", "aiohttp", "aiohttp(trust_env)"];
const INSIDE = "inside.example";
const PROXY_PASSWORD = "pr@xy/p+ss-93f";
const INDEX_PASSWORD = "i/n:d%e+x-p@ss";
const SECRETS = [PROXY_PASSWORD, INDEX_PASSWORD].flatMap((secret) => [secret, encodeURIComponent(secret)]);

/** The servers of this test, whatever proxy the machine's own network needs. */
const DIRECT = {
  // The servers of this test are the host's.
  BERTH_EGRESS_ALLOW: bridgeAddress(),
  no_proxy: [process.env["no_proxy"] ?? process.env["NO_PROXY"] ?? "", bridgeAddress()].join(),
};

const scope = new Scope();
let site: Site;
let fetches: PackedPlugin;
let bundle: string;
let proxy: RecordingProxy;
/** Each with a server that only it vouches for. */
let [first, second]: Server[] = [];
let plain: { readonly port: number };
let tenant: string;

interface Server {
  readonly authority: Authority;
  readonly port: number;
}

beforeAll(async () => {
  site = scope.use(await openSite({ database: "postgres", env: DIRECT }));
  fetches = await packPlugin("fetches");
  bundle = join(site.dataFolder, "authorities.pem");
  proxy = scope.use(await startRecordingProxy(PROXY_PASSWORD));
  first = await serveTls();
  second = await serveTls();
  plain = await listen(createPlainServer((_request, response) => response.end("fetched")));
});
afterAll(() => scope.close());

async function serveTls(): Promise<Server> {
  const authority = scope.use(await makeAuthority());
  const { certFile, keyFile } = await authority.issue([`DNS:${INSIDE}`, `IP:${bridgeAddress()}`]);
  const pair = { cert: await readFile(certFile), key: await readFile(keyFile) };
  return {
    authority,
    ...(await listen(createServer(pair, (_request, response) => response.end("fetched")))),
  };
}

async function listen(server: ReturnType<typeof createPlainServer>): Promise<{ port: number }> {
  await new Promise<void>((resolve) => server.listen(0, bridgeAddress(), resolve));
  scope.add(async () => {
    server.closeAllConnections();
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return { port: address.port };
}

/** What the machine's own network needs, and these. */
async function writeBundle(...authorities: readonly (Authority | undefined)[]): Promise<void> {
  const ofMachine = site.env["BERTH_CA_BUNDLE"];
  const files = [ofMachine, ...authorities.map((authority) => authority?.caFile)].filter(
    (file) => file !== undefined,
  );
  await writeFile(bundle, (await Promise.all(files.map((file) => readFile(file, "utf8")))).join("\n"));
}

/** Client to what came of it. */
async function fetchWith(berth: BerthProcess, url: string, who = tenant): Promise<Record<string, string>> {
  const call = { tenant: who, pluginId: fetches.pluginId, tool: "fetch", parameters: { url } };
  const texts = await toolTexts(berth, call);
  return Object.fromEntries(texts.map((text) => String(text).split(/: (.*)/s)));
}

const ofAll = (value: unknown) => Object.fromEntries(CLIENTS.map((client) => [client, value]));
const direct = (server: Server | undefined) => `https://${bridgeAddress()}:${server?.port}/`;
const proxied = (server: Server | undefined) => `https://${INSIDE}:${server?.port}/`;

/** The id of the one container, once it runs and is another than `old`. */
function replaced(old: string): Promise<string> {
  return eventually(async () => {
    const running = (await site.containers()).filter(({ phase, labels }) => {
      return phase === "running" && labels["berth.tenant"] === tenant;
    });
    return running.length === 1 && running[0]?.id !== old ? running[0]?.id : undefined;
  });
}

describe("the operator's certificate authorities", () => {
  test("are trusted by no client in a plugin while they are not set", async () => {
    await using berth = await site.start();
    ({ tenant } = await install(berth, fetches));
    expect(await fetchWith(berth, direct(first))).toEqual(
      ofAll(expect.stringMatching(/CERTIFICATE_VERIFY_FAILED/)),
    );
  });

  test("are trusted by every client in an installed plugin after the next start", async () => {
    const old = await replaced("");
    await writeBundle(first?.authority);
    await using berth = await site.start({ BERTH_CA_BUNDLE: bundle });
    await replaced(old);
    expect(await fetchWith(berth, direct(first))).toEqual(ofAll("fetched"));
  });

  test("are also trusted in the next version of the plugin, as are authorities that the file contains later", async () => {
    await writeBundle(second?.authority, first?.authority);
    await using berth = await site.start({ BERTH_CA_BUNDLE: bundle });
    const next = await install(berth, await packVersion("fetches", "0.0.2"));
    for (const server of [first, second]) {
      expect(await fetchWith(berth, direct(server), next.tenant)).toEqual(ofAll("fetched"));
      expect(await eventually(() => settled(berth, server))).toEqual(ofAll("fetched"));
    }
  });

  /** The older container serves until the new one is ready: then nobody fails any more. */
  async function settled(berth: BerthProcess, server: Server | undefined) {
    const found = await fetchWith(berth, direct(server));
    return CLIENTS.every((client) => found[client] === "fetched") ? found : undefined;
  }

  test("that cannot be read fail the start, which names the setting, the file and what is accepted", async () => {
    const { code, errors } = await site.run(["serve"], { BERTH_CA_BUNDLE: site.dataFolder });
    expect(code).toBe(1);
    expect(errors).toContain(
      `BERTH_CA_BUNDLE is "${site.dataFolder}": it cannot be read (EISDIR); accepted: `,
    );
  });
});

describe("the operator's proxies", () => {
  const proxies = () => ({
    http_proxy: proxy.url,
    https_proxy: proxy.url,
    BERTH_CA_BUNDLE: bundle,
    BERTH_LOG_LEVEL: "debug",
  });

  test("carry the requests of builds and plugins, except to NO_PROXY hosts, and no request of Berth itself", async () => {
    const certificate = await first?.authority.issue(["DNS:mirror.example"]);
    if (certificate === undefined) throw new Error("no certificate");
    await using mirror = await startWheelIndex(
      [{ name: "inner", version: "1.0", files: { "inner.py": "" } }],
      { certificate, password: INDEX_PASSWORD },
    );
    const old = await replaced("");
    await using berth = await site.start({
      ...proxies(),
      BERTH_PACKAGE_INDEX_URL: mirror.url.replace(bridgeAddress(), "mirror.example"),
    });
    await replaced(old);

    const inner = await packPlugin("echo", { "requirements.txt": "inner==1.0\n" });
    const installed = await install(berth, inner);
    expect(await toolTexts(berth, { ...installed, pluginId: inner.pluginId, tool: "echo" })).toEqual([
      "hello",
    ]);
    expect(new Set(proxy.asked)).toEqual(new Set([`CONNECT mirror.example:${mirror.port}`]));
    const refused = await failInstall(
      berth,
      await packPlugin("echo", { "requirements.txt": "not-there==1.0\n" }),
    );
    expect(refused.cause).toMatchObject({ code: "dependency_unresolvable" });

    const from = proxy.asked.length;
    const throughIt = { ...ofAll("fetched"), aiohttp: expect.stringMatching(/Error/) };
    expect(await fetchWith(berth, proxied(first))).toEqual(throughIt);
    expect(proxy.asked.slice(from)).toEqual(
      Array.from({ length: 4 }, () => `CONNECT ${INSIDE}:${first?.port}`),
    );
    const address = `http://${INSIDE}:${plain.port}/`;
    expect(await fetchWith(berth, address)).toEqual(throughIt);
    expect(proxy.asked.slice(from + 4)).toEqual(Array.from({ length: 4 }, () => `GET ${address}`));
    expect(await fetchWith(berth, direct(first))).toEqual(ofAll("fetched"));
    expect(await fetchWith(berth, `http://${bridgeAddress()}:${plain.port}/`)).toEqual(ofAll("fetched"));
    expect((await berth.request("GET", "/health/ready")).status).toBe(200);
    expect(proxy.asked).toHaveLength(from + 8);

    const said = JSON.stringify([
      berth.log,
      refused,
      await follow(berth, installed),
      await answers(berth, installed),
      await site.rows(ALL_ROWS),
    ]);
    expect(said).toContain("not-there==1.0");
    expect(said).toContain(installed.tenant);
    for (const secret of SECRETS) expect(said).not.toContain(secret);
    expect(await filesWith(site.dataFolder, SECRETS)).toEqual([]);
    expect(await filesWith(site.dataFolder, ["BEGIN CERTIFICATE"])).toContain(bundle);
  });

  test("are not used by Berth itself, so a start with NODE_USE_ENV_PROXY is refused", async () => {
    const { code, errors } = await site.run(["serve"], { ...proxies(), NODE_USE_ENV_PROXY: "1" });
    expect(code).toBe(1);
    expect(errors).toContain("Node would send Berth's own traffic through the proxy");
    expect(errors).not.toContain(PROXY_PASSWORD);
  });
});

/** Every row of every table, as text. */
const ALL_ROWS = `SELECT table_name, query_to_xml(format('SELECT * FROM %I.%I', table_schema, table_name), true, true, '')::text AS rows
  FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'`;

async function answers(
  berth: BerthProcess,
  installed: { tenant: string; taskId: string; installationId: string },
) {
  const root = `/v1/tenants/${installed.tenant}`;
  const paths = [
    `${root}/installations/${installed.installationId}`,
    `${root}/installations/${installed.installationId}/logs`,
    `${root}/tasks/${installed.taskId}`,
    `${root}/installations`,
    "/v1/packages",
    "/health/ready",
  ];
  return await Promise.all(paths.map(async (path) => await (await berth.request("GET", path)).text()));
}

async function filesWith(folder: string, texts: readonly string[]): Promise<readonly string[]> {
  const found: string[] = [];
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    if (!(await stat(path).catch(() => undefined))?.isFile()) continue;
    const bytes = await readFile(path);
    if (texts.some((text) => bytes.includes(text))) found.push(path);
  }
  return found;
}
