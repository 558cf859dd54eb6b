/** Where packages are fetched from: addresses, tokens, redirects, certificates and proxies. */
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { NO_PROXIES } from "../../src/domain/proxy.ts";
import {
  BYTES,
  IDENTIFIER,
  MARKET,
  MARKETPLACE,
  PUBLIC_PATH,
  RELEASE,
  RELEASE_PATH,
  useSources,
} from "../harness/rigs/sources.ts";
import { makeAuthority } from "../harness/servers/authority.ts";
import { startRecordingProxy } from "../harness/servers/recording-proxy.ts";
import { file, json, redirect, startSourceServer, status } from "../harness/servers/source-server.ts";
import { bridgeAddress } from "../harness/servers/wheel-index.ts";

const { rig, fetching, anUrl } = useSources();

describe("the address of a source", () => {
  test("contains the identifier of a marketplace's package, and the token is sent", async () => {
    rig.server.on(MARKETPLACE, file(BYTES));
    const { bytes, asked, progress } = await fetching(MARKET, {
      marketplace: { url: rig.server.url, token: "market-token" },
    });
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked).toMatchObject([
      {
        path: `${MARKETPLACE}?unique_identifier=${encodeURIComponent(IDENTIFIER)}`,
        headers: { authorization: "Bearer market-token", "accept-encoding": "identity" },
      },
    ]);
    expect(progress.at(-1)).toEqual({ done: BYTES.length, total: BYTES.length });
  });

  test("of a public release is the page of the asset, and the API is not asked", async () => {
    rig.server.on(PUBLIC_PATH, redirect("/storage/echo"));
    rig.server.on("/storage/echo", file(BYTES));
    const { bytes, asked } = await fetching(RELEASE);
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked.map(({ path }) => path)).toEqual([PUBLIC_PATH, "/storage/echo"]);
  });

  test("of a private release comes from the API, and the host that stores the file never sees the token", async () => {
    await using storage = await startSourceServer();
    rig.server.on(
      RELEASE_PATH,
      json({
        assets: [
          { id: 6, name: "other" },
          { id: 7, name: "echo 1.difypkg" },
        ],
      }),
    );
    rig.server.on("/api/repos/acme/echo/releases/assets/7", redirect(`${storage.url}/file?signed=1`));
    storage.on("/file", redirect(`${rig.server.url}/back`));
    rig.server.on("/back", file(BYTES));
    const github = { url: rig.server.url, apiUrl: `${rig.server.url}/api`, token: "github-token" };
    const { bytes, asked } = await fetching(RELEASE, { github });
    expect(bytes?.equals(BYTES)).toBe(true);
    expect(asked.map(({ path, headers }) => [path, headers.accept, headers.authorization])).toEqual([
      [RELEASE_PATH, "application/vnd.github+json", "Bearer github-token"],
      ["/api/repos/acme/echo/releases/assets/7", "application/octet-stream", "Bearer github-token"],
      // back at its own host, but somebody else has said so
      ["/back", "application/octet-stream", undefined],
    ]);
    expect(storage.asked[0]?.headers.authorization).toBeUndefined();
  });

  test("of a missing asset is refused with the list of the release's assets", async () => {
    rig.server.on(RELEASE_PATH, json({ assets: [{ id: 6, name: "other.difypkg" }] }));
    const github = { url: rig.server.url, apiUrl: `${rig.server.url}/api`, token: "github-token" };
    const { error } = await fetching(RELEASE, { github });
    expect(error).toMatchObject({
      code: "source_not_found",
      details: { field: "source.asset", value: "echo 1.difypkg", accepted: ["other.difypkg"] },
    });
  });

  test("of a URL is the URL itself, without a token, and its query appears in no message", async () => {
    rig.secure.on("/echo", status(404));
    const { error } = await fetching(anUrl("/echo"), {
      github: { url: rig.secure.url, apiUrl: rig.secure.url, token: "github-token" },
      marketplace: { url: rig.secure.url, token: "market-token" },
    });
    expect(rig.secure.asked.at(-1)).toMatchObject({ path: "/echo?signature=hush" });
    expect(rig.secure.asked.at(-1)?.headers.authorization).toBeUndefined();
    expect(error).toMatchObject({
      code: "source_not_found",
      message: expect.stringContaining("/echo does not exist"),
    });
    expect(String(error)).not.toContain("hush");
  });
});

describe("a redirect", () => {
  test("to an address that is not public is refused without a connection", async () => {
    await using inside = await startSourceServer({ host: "127.0.0.2" });
    inside.on("/secrets", file(BYTES));
    const { port } = inside;
    for (const host of ["127.0.0.2", "127.2", "0x7f000002", "[::ffff:127.0.0.2]", "inside.example"]) {
      rig.server.on(MARKETPLACE, redirect(`http://${host}:${port}/secrets`));
      const lookup = () => Promise.resolve([{ address: "127.0.0.2", family: 4 }]);
      const { error } = await fetching(MARKET, { lookup });
      expect(error).toMatchObject({ code: "source_address_refused" });
    }
    expect(inside.asked).toEqual([]);
  });

  test("loop is given up", async () => {
    rig.server.on(MARKETPLACE, redirect(MARKETPLACE));
    const { error, asked } = await fetching(MARKET);
    expect(error).toMatchObject({
      code: "source_unusable",
      message: expect.stringContaining("more than 3 times"),
    });
    expect(asked).toHaveLength(4);
  });

  test("from https to http, to nowhere, or with a password is not followed", async () => {
    for (const to of [
      `${rig.server.url}/echo`,
      "http://",
      `https://me:hush@127.0.0.1:${rig.secure.port}/x`,
      "ftp://a.example/",
    ]) {
      rig.secure.on("/echo", redirect(to));
      const { error, asked } = await fetching(anUrl("/echo"));
      expect(error).toMatchObject({ code: "source_unusable" });
      expect(String(error)).not.toContain("hush");
      expect(asked).toEqual([]);
    }
  });
});

test("a name that resolves differently the second time is contacted at the address that was checked", async () => {
  await using inside = await startSourceServer({ host: "127.0.0.2" });
  rig.server.on(MARKETPLACE, file(BYTES));
  const answers = ["127.0.0.1", "127.0.0.2"];
  const looks: string[] = [];
  const lookup = (host: string) => {
    looks.push(host);
    return Promise.resolve([{ address: answers.shift() ?? "127.0.0.2", family: 4 }]);
  };
  const marketplace = { url: `http://market.example:${rig.server.port}`, token: undefined };
  const { bytes } = await fetching(MARKET, { lookup, marketplace });
  expect(bytes?.equals(BYTES)).toBe(true);
  expect([looks, inside.asked]).toEqual([["market.example"], []]);
});

describe("a server", () => {
  test("that does not resolve or does not listen is source_unreachable", async () => {
    const gone = await startSourceServer();
    await gone[Symbol.asyncDispose]();
    const refused = await fetching(MARKET, { marketplace: { url: gone.url, token: undefined } });
    expect(refused.error).toMatchObject({
      code: "source_unreachable",
      message: expect.stringContaining("ECONNREFUSED"),
    });
    const lookup = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const marketplace = { url: "http://market.example", token: undefined };
    expect((await fetching(MARKET, { marketplace, lookup })).error).toMatchObject({
      code: "source_unreachable",
      message: expect.stringContaining("unknown host"),
    });
  });

  test("with an untrusted certificate is source_unusable at once", async () => {
    await using stranger = await makeAuthority();
    const certificate = await stranger.issue(["IP:127.0.0.1"]);
    await using untrusted = await startSourceServer({ certificate });
    const { error, notes } = await fetching(MARKET, {
      marketplace: { url: untrusted.url, token: undefined },
    });
    expect(error).toMatchObject({ code: "source_unusable", message: expect.stringContaining("not trusted") });
    expect([notes, untrusted.asked]).toEqual([[], []]);
  });
});

describe("the operator's proxy", () => {
  test("carries http and https and resolves their names, except for hosts of NO_PROXY", async () => {
    const password = randomUUID();
    await using proxy = await startRecordingProxy(password);
    const certificate = await rig.authority.issue(["DNS:market.example"]);
    const host = bridgeAddress();
    await using plain = await startSourceServer({ host });
    await using tls = await startSourceServer({ host, certificate });
    const unknown = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const proxies = { http: proxy.url, https: proxy.url, bypass: "direct.example" };
    for (const [url, at] of [
      [`http://market.example:${plain.port}`, plain],
      [`https://market.example:${tls.port}`, tls],
    ] as const) {
      at.on(MARKETPLACE, file(BYTES));
      const { bytes, error } = await fetching(MARKET, {
        marketplace: { url, token: undefined },
        proxies,
        lookup: unknown,
      });
      expect(error).toBeUndefined();
      expect(bytes?.equals(BYTES)).toBe(true);
      await rm(join(rig.folder, "origin.json"));
    }
    expect(proxy.asked).toEqual([
      expect.stringContaining(`GET http://market.example:${plain.port}${MARKETPLACE}`),
      `CONNECT market.example:${tls.port}`,
    ]);

    const direct = { url: `http://direct.example:${plain.port}`, token: undefined };
    await fetching(MARKET, { marketplace: direct, proxies, lookup: unknown });
    expect(proxy.asked).toHaveLength(2);
  });

  test("does not reach an address that is known not to be public", async () => {
    await using proxy = await startRecordingProxy(randomUUID());
    const proxies = { http: proxy.url, https: proxy.url, bypass: "" };
    const lookup = () => Promise.resolve([{ address: "10.0.0.5", family: 4 }]);
    for (const url of ["http://10.0.0.5", "http://inside.example"]) {
      const { error } = await fetching(MARKET, { marketplace: { url, token: undefined }, proxies, lookup });
      expect(error).toMatchObject({ code: "source_address_refused" });
    }
    expect(proxy.asked).toEqual([]);
  });

  test("that refuses is reported as source_unreachable, without its password", async () => {
    await using proxy = await startRecordingProxy("right");
    const proxies = { ...NO_PROXIES, https: proxy.url.replace(":right@", ":hush@") };
    const marketplace = { url: "https://market.example", token: undefined };
    const lookup = () => Promise.reject(Object.assign(new Error("no"), { code: "ENOTFOUND" }));
    const { error } = await fetching(MARKET, { marketplace, proxies, lookup });
    expect(error).toMatchObject({ code: "source_unreachable" });
    expect(JSON.stringify([String(error), (error as Error).message])).not.toContain("hush");
  });
});
