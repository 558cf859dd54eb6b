/** Builds where everything is private at once: an index with a password and an authority of its own, behind a proxy. */
import { execFileSync, spawn } from "node:child_process";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { NO_PROXIES } from "../../src/domain/proxy.ts";
import type { IndexSettings } from "../../src/installation/images/build/settings.ts";
import { readCaBundle } from "../../src/runtime/launch/ca-bundle.ts";
import { Scope } from "../../src/util/scope.ts";
import { type BuildRig, openBuildRig } from "../harness/rigs/build.ts";
import { type Authority, makeAuthority } from "../harness/servers/authority.ts";
import { type RecordingProxy, startRecordingProxy } from "../harness/servers/recording-proxy.ts";
import {
  bridgeAddress,
  startWheelIndex,
  type TestWheel,
  type WheelIndex,
} from "../harness/servers/wheel-index.ts";

const MIRROR = "mirror.example";
const wheel = (name: string): TestWheel => ({
  name,
  version: "1.0",
  files: { [`${name}.py`]: `MARK = "a mark of ${name}"\n` },
});

interface Secret {
  readonly user: string;
  readonly password: string;
}
/** With what has a meaning in URLs, in the form of a header, in quotes. */
const INDEX: Secret = { user: "index@corp", password: 'i/n:d%e+x "p@ss' };
const EXTRA: Secret = { user: "extra-user", password: "extra-p@ss-7c1" };
const PROXY_PASSWORD = "pr@xy/p+ss-93f";

const scope = new Scope();
let rig: BuildRig;
let authority: Authority;
let proxy: RecordingProxy;
let mirror: WheelIndex;
let extra: WheelIndex;
/** What an inspect of each container of the builds showed while they were at work. */
const inspected: string[] = [];

beforeAll(async () => {
  rig = scope.use(await openBuildRig());
  authority = scope.use(await makeAuthority());
  proxy = scope.use(await startRecordingProxy(PROXY_PASSWORD));
  const certificate = await authority.issue([`DNS:${MIRROR}`, `IP:${bridgeAddress()}`]);
  const onRequest = (path: string) => {
    if (path.endsWith(".whl")) inspected.push(inspectBuilds());
  };
  mirror = scope.use(await startWheelIndex([wheel("inner")], { certificate, onRequest, ...INDEX }));
  extra = scope.use(await startWheelIndex([wheel("outer")], { certificate, onRequest, ...EXTRA }));
});
afterAll(() => scope.close());

function inspectBuilds(): string {
  const label = `label=berth.instance=${rig.instanceId}`;
  const ids = execFileSync("docker", ["ps", "-aq", "--filter", label], { encoding: "utf8" }).split("\n");
  return execFileSync("docker", ["inspect", ...ids.filter((id) => id !== "")], { encoding: "utf8" });
}

/** The index by a name that only the proxy knows: what arrives there came through it. */
const byName = ({ url }: WheelIndex) => url.replace(bridgeAddress(), MIRROR);

async function settingsWith(changes: Partial<IndexSettings>) {
  const caBundle = await readCaBundle({ path: authority.caFile, now: new Date() });
  const index = {
    ...rig.settings.index,
    url: byName(mirror),
    extraUrls: [byName(extra)],
    proxies: { ...NO_PROXIES, https: proxy.url },
    caBundle,
    ...changes,
  };
  return { index };
}

/** Each form in which one of them might be found. */
function formsOf({ user, password }: Secret): string[] {
  const base64 = Buffer.from(`${user}:${password}`).toString("base64");
  return [password, encodeURIComponent(password), JSON.stringify(password).slice(1, -1), base64];
}
const SECRETS = [INDEX, EXTRA, { user: "proxy-user", password: PROXY_PASSWORD }].flatMap(formsOf);

function expectNoSecret(text: string): void {
  expect(SECRETS.filter((secret) => text.includes(secret))).toEqual([]);
}

/** Which of the texts stand anywhere in any layer of the image, or in its configuration. */
async function foundInImage(reference: string, texts: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>();
  const longest = Math.max(...texts.map((text) => Buffer.byteLength(text)));
  const child = spawn("docker", ["save", reference], { stdio: ["ignore", "pipe", "inherit"] });
  let kept = Buffer.alloc(0);
  for await (const chunk of child.stdout) {
    const bytes = Buffer.concat([kept, chunk]);
    for (const text of texts) if (bytes.includes(text)) found.add(text);
    kept = bytes.subarray(-longest);
  }
  return [...found];
}

async function foundInFolder(folder: string, texts: readonly string[]): Promise<readonly string[]> {
  const found = new Set<string>();
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    if (!(await stat(path)).isFile()) continue;
    const bytes = await readFile(path);
    for (const text of texts) if (bytes.includes(text)) found.add(text);
  }
  return [...found];
}

describe("a build with two password-protected indexes, a private authority and a proxy with a password", () => {
  test("succeeds, fetches everything through the proxy and leaves no secret behind", async () => {
    const image = await rig.build({
      requirements: "inner==1.0\nouter==1.0\n",
      settings: await settingsWith({}),
    });
    expect(image.built).toBe(true);
    const fetched = [...mirror.requests, ...extra.requests].filter((path) => path.endsWith(".whl"));
    expect(new Set(fetched).size).toBe(2);
    expect(new Set(proxy.asked)).toEqual(
      new Set([`CONNECT ${MIRROR}:${mirror.port}`, `CONNECT ${MIRROR}:${extra.port}`]),
    );

    // None of the secrets is in a layer, a configuration, a history, the wheel cache or a line of the build's log.
    const texts = [...SECRETS, PROXY_PASSWORD, "a mark of inner", "a mark of outer"];
    expect(await foundInImage(image.imageRef, texts)).toEqual(["a mark of inner", "a mark of outer"]);
    const history = ["history", "--no-trunc", "--format", "{{json .}}", image.imageRef];
    expectNoSecret(execFileSync("docker", history, { encoding: "utf8" }));
    expectNoSecret(execFileSync("docker", ["inspect", image.imageRef], { encoding: "utf8" }));
    expect(await foundInFolder(rig.settings.cacheFolder, [...SECRETS, "a mark of inner"])).toEqual([
      "a mark of inner",
    ]);
    expect(inspected.length).toBeGreaterThan(1);
    expect(inspected[0]).toContain("/cache");
    for (const text of [...inspected, ...rig.lines]) expectNoSecret(text);
    expect([...inspected, ...rig.lines].join("\n")).not.toMatch(/_PROXY|UV_|index@corp|extra-user/i);
  });

  test("connects to the hosts of NO_PROXY directly", async () => {
    const before = proxy.asked.length;
    await rig.build({
      requirements: "inner>=1.0\n",
      settings: await settingsWith({
        url: mirror.url,
        extraUrls: [],
        proxies: { http: undefined, https: proxy.url, bypass: bridgeAddress() },
      }),
    });
    expect(proxy.asked).toHaveLength(before);
  });

  test.each([
    ["index_refused", "the authority is not trusted", () => ({ caBundle: undefined })],
    ["name_not_resolved", "no proxy is configured", () => ({ proxies: NO_PROXIES })],
    [
      "index_refused",
      "the proxy requires another password",
      () => ({ proxies: { ...NO_PROXIES, https: proxy.url.replace("@", "-old@") } }),
    ],
  ])("fails with %s if %s, without a secret in the error", async (code, _why, changes) => {
    const from = rig.lines.length;
    const failure: unknown = await rig
      .build({ requirements: "inner>=0.1\n", settings: await settingsWith(changes()) })
      .catch((error: unknown) => error);
    expect(failure).toMatchObject({ code });
    expectNoSecret([JSON.stringify(failure), String(failure), ...rig.lines.slice(from)].join("\n"));
  });

  test.each([
    ["index_refused", "a wrong password", { password: "wrong" }],
    ["dependency_unresolvable", "a package that does not exist", {}],
  ])(
    "fails with %s for %s, without a secret in the error",
    async (code, _why, changes: { password?: string }) => {
      const from = rig.lines.length;
      const url = new URL(byName(mirror));
      if (changes.password !== undefined)
        url.password = `${encodeURIComponent(INDEX.password)}-${changes.password}`;
      const failure: unknown = await rig
        .build({
          requirements: `${changes.password === undefined ? "not-there" : "inner>=0.2"}\n`,
          settings: await settingsWith({ url: url.href, extraUrls: [] }),
        })
        .catch((error: unknown) => error);
      expect(failure).toMatchObject({ code });
      const said = [JSON.stringify(failure), String(failure), ...rig.lines.slice(from)].join("\n");
      expectNoSecret(said);
      expect(said).not.toContain("index@corp");
    },
  );
});
