import { once } from "node:events";
import { appendFile, readdir, readFile, truncate, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createLog } from "../../src/observe/log.ts";
import type { PackageStore } from "../../src/packages/package-store.ts";
import { openS3Storage } from "../../src/packages/s3/open-storage.ts";
import type { BucketSettings, CacheSettings } from "../../src/storage/s3/settings.ts";
import { systemClock } from "../../src/util/clock.ts";
import { Scope } from "../../src/util/scope.ts";
import { anIdentifier, keepText, readText } from "../contract/package-store.contract.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";
import { makeAuthority } from "../harness/servers/authority.ts";
import { makeFolder } from "../harness/servers/postgres.ts";
import { type S3Front, startS3Front } from "../harness/servers/s3-front.ts";
import { S3_CREDENTIALS, type S3Server, startS3Server } from "../harness/servers/s3-server.ts";

const TEXT = "0123456789abcdef".repeat(200_000);
const UNAVAILABLE = { code: "package_store_unavailable" };

let server: S3Server;
let front: S3Front;
let bucket: string;
let scope: Scope;
const lines: Record<string, unknown>[] = [];
const log = createLog({ level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });

beforeAll(async () => {
  server = await startS3Server();
  bucket = await server.createBucket();
});
afterAll(() => server?.[Symbol.asyncDispose]());

interface Opened {
  readonly store: PackageStore;
  readonly folder: string;
}

type Changes = Partial<BucketSettings & CacheSettings> & { readonly startWaitMs?: number };

/** A store behind the front, with a folder of its own unless one is given. */
async function open({ startWaitMs = 0, ...changes }: Changes = {}, given?: string): Promise<Opened> {
  const folder = given ?? scope.use(await makeFolder("s3-packages")).path;
  const settings = { ...server.settings(bucket), endpoint: front.endpoint, ...changes };
  const opened = scope.use(
    await openS3Storage({
      settings,
      folder,
      startWaitMs,
      clock: systemClock,
      log,
      signal: scope.signal,
      packagesFolder: "plugin_packages",
    }),
  );
  return { store: opened.packages, folder };
}

function fileOf(identifier: string): string {
  return server.fileOf(bucket, `berth/plugin_packages/${identifier}`);
}

function requests(method: string, identifier: string): number {
  const path = `/${bucket}/berth/plugin_packages/${identifier}`;
  return front.seen.filter((seen) => {
    const { pathname } = new URL(seen.path, front.endpoint);
    return seen.method === method && decodeURIComponent(pathname) === path;
  }).length;
}

beforeEach(async () => {
  scope = new Scope();
  front = scope.use(await startS3Front(server.endpoint));
  await server.start();
});
afterEach(() => scope.close());

describe("a server that goes away", () => {
  it("while an archive is being stored leaves no part of it, and storing it later succeeds", async () => {
    const { store } = await open();
    const identifier = anIdentifier();
    front.turn = ({ method }) =>
      method === "PUT"
        ? { breakAfterBytes: 1_000_000, direction: "up", meanwhile: () => server.kill() }
        : undefined;
    await expect(keepText(store, identifier, TEXT)).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: "The package store cannot be reached; retry later.",
    });
    front.turn = () => undefined;
    await server.start();
    expect(await store.has(identifier)).toBe(false);
    await expect(store.open(identifier)).rejects.toMatchObject({ code: "package_not_found" });
    await keepText(store, identifier, TEXT);
    expect(await readText((await open()).store, identifier)).toBe(TEXT);
  });

  it("while an archive is being stored, and is soon back, causes no failure", async () => {
    const { store } = await open({ attemptsMax: 10 });
    const identifier = anIdentifier();
    let cuts = 0;
    front.turn = ({ method }) => {
      if (method !== "PUT" || cuts > 0) return undefined;
      cuts += 1;
      const meanwhile = async () => {
        await server.kill();
        await server.start();
      };
      return { breakAfterBytes: 1_000_000, direction: "up", meanwhile };
    };
    await keepText(store, identifier, TEXT);
    expect(requests("PUT", identifier)).toBeGreaterThan(1);
    expect(await readText((await open()).store, identifier)).toBe(TEXT);
  });

  it("while an archive is being opened leaves no part of it behind, and opening it later succeeds", async () => {
    const identifier = anIdentifier();
    await keepText((await open()).store, identifier, TEXT);
    const { store, folder } = await open();
    front.turn = ({ method }) =>
      method === "GET"
        ? { breakAfterBytes: 1_000_000, direction: "down", meanwhile: () => server.kill() }
        : undefined;
    await expect(store.open(identifier)).rejects.toMatchObject(UNAVAILABLE);
    expect(await filesIn(folder)).toEqual([]);
    await expect(store.ping(AbortSignal.timeout(5000))).rejects.toMatchObject(UNAVAILABLE);
    front.turn = () => undefined;
    await server.start();
    await store.ping(AbortSignal.timeout(5000));
    expect(await readText(store, identifier)).toBe(TEXT);
  });

  it("while an archive is being opened, and is soon back, causes no failure", async () => {
    const identifier = anIdentifier();
    await keepText((await open()).store, identifier, TEXT);
    const { store } = await open({ attemptsMax: 10 });
    let cuts = 0;
    front.turn = ({ method }) => {
      if (method !== "GET" || cuts > 0) return undefined;
      cuts += 1;
      return { breakAfterBytes: 1_000_000, direction: "down", meanwhile: async () => undefined };
    };
    expect(await readText(store, identifier)).toBe(TEXT);
    expect(requests("GET", identifier)).toBe(2);
  });

  it("leaves the archives that were opened before available", async () => {
    const { store } = await open();
    const identifier = anIdentifier();
    await keepText(store, identifier, "at hand");
    await server.kill();
    expect(await readText(store, identifier)).toBe("at hand");
    await expect(store.open(anIdentifier())).rejects.toMatchObject(UNAVAILABLE);
    await expect(keepText(store, anIdentifier(), "x")).rejects.toMatchObject(UNAVAILABLE);
  });

  it("or hangs is given up after the timeouts", async () => {
    const { store } = await open({ idleTimeoutMs: 100, attemptsMax: 2 });
    front.turn = () => new Promise(() => undefined);
    const startedAt = performance.now();
    await expect(store.open(anIdentifier())).rejects.toMatchObject(UNAVAILABLE);
    await expect(keepText(store, anIdentifier(), TEXT)).rejects.toMatchObject(UNAVAILABLE);
    expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
  });

  it("behind a gateway that answers with 502 is reported as unavailable", async () => {
    const { store } = await open();
    front.turn = () => ({ answer: 502, code: "BadGateway" });
    await expect(store.open(anIdentifier())).rejects.toMatchObject(UNAVAILABLE);
  });

  it("lets an open call be aborted at once", async () => {
    const { store } = await open();
    const gaveUp = new AbortController();
    front.turn = () => {
      gaveUp.abort(new Error("nobody wants it any more"));
      return new Promise(() => undefined);
    };
    await expect(store.open(anIdentifier(), gaveUp.signal)).rejects.toThrow("nobody wants it any more");
  });
});

describe("an archive that is damaged in the bucket", () => {
  const damages = {
    changed: async (path: string) => {
      const bytes = await readFile(path);
      bytes[100_000] = 0;
      await writeFile(path, bytes);
    },
    "cut short": (path: string) => truncate(path, 100_000),
    longer: (path: string) => appendFile(path, "x"),
  };
  it.each(Object.entries(damages))(
    "because it was %s is reported, and is repaired by storing it again",
    async (_, damage) => {
      const identifier = anIdentifier();
      await keepText((await open()).store, identifier, TEXT);
      await damage(fileOf(identifier));
      const { store, folder } = await open();
      await expect(store.open(identifier)).rejects.toMatchObject({
        code: "package_damaged",
        details: { field: "identifier", value: identifier },
      });
      expect(await filesIn(folder)).toEqual([]);
      await keepText(store, identifier, TEXT);
      expect(await readText((await open()).store, identifier)).toBe(TEXT);
    },
  );

  it("and was put there by another program is replaced by the next stored archive", async () => {
    const identifier = anIdentifier();
    const { store } = await open();
    await keepText(store, identifier, "x");
    await store.remove(identifier);
    await writeFile(fileOf(identifier), "copied by hand");
    expect(await readText((await open()).store, identifier)).toBe("copied by hand");
    await keepText(store, identifier, "kept");
    expect(await readText((await open()).store, identifier)).toBe("kept");
  });
});

describe("a fetched archive", () => {
  it("is fetched once, however many callers open it at once", async () => {
    const identifier = anIdentifier();
    await keepText((await open()).store, identifier, TEXT);
    const { store } = await open();
    const texts = await Promise.all(Array.from({ length: 8 }, () => readText(store, identifier)));
    expect(texts.every((text) => text === TEXT)).toBe(true);
    expect(requests("GET", identifier)).toBe(1);
  });

  it("is available and checked after a restart, and is fetched again if a crash has damaged it", async () => {
    const identifier = anIdentifier();
    const { store, folder } = await open();
    await keepText(store, identifier, TEXT);
    expect(await readText((await open({}, folder)).store, identifier)).toBe(TEXT);
    expect(requests("GET", identifier)).toBe(0);
    const [file = ""] = await filesIn(folder);
    await truncate(file, 1000);
    expect(await readText((await open({}, folder)).store, identifier)).toBe(TEXT);
    expect(requests("GET", identifier)).toBe(1);
    expect(
      lines.some((line) => line["op"] === "package_cache.open" && line["identifier"] === identifier),
    ).toBe(true);
  });

  it("is evicted in the order of last use, but never while it is in use", async () => {
    const identifiers = [anIdentifier(), anIdentifier(), anIdentifier(), anIdentifier()] as const;
    const [oldest, used, newer, newest] = identifiers;
    const keeper = (await open()).store;
    for (const identifier of identifiers) await keepText(keeper, identifier, TEXT);
    const { store, folder } = await open({ cacheBytesMax: 2 * TEXT.length });
    const inUse = await store.open(oldest);
    for (const identifier of [used, newer]) await readText(store, identifier);
    // Three do not fit: of those that nobody uses the older one goes.
    await readText(store, newest);
    const fetched = () => identifiers.map((identifier) => requests("GET", identifier));
    expect(fetched()).toEqual([1, 1, 1, 1]);
    expect(await readFile(inUse.path, "utf8")).toBe(TEXT);
    await readText(store, oldest);
    await readText(store, newest);
    expect(fetched()).toEqual([1, 1, 1, 1]);
    await inUse[Symbol.asyncDispose]();
    await readText(store, used);
    expect(fetched()).toEqual([1, 2, 1, 1]);
    expect((await filesIn(folder)).length).toBe(2);
  });

  it("is kept while another process uses it", async () => {
    const identifier = anIdentifier();
    const { store, folder } = await open({ cacheBytesMax: 1 });
    await keepText(store, identifier, TEXT);
    expect(await filesIn(folder)).toEqual([]);
    const other = (await open({ cacheBytesMax: 1 }, folder)).store;
    const inUse = await other.open(identifier);
    expect(await readText(store, identifier)).toBe(TEXT);
    expect(requests("GET", identifier)).toBe(1);
    await inUse[Symbol.asyncDispose]();
    expect(await filesIn(folder)).toEqual([]);
  });

  it("of a process that died is removed at a start, but only after its age limit", async () => {
    const { store, folder } = await open();
    const identifier = anIdentifier();
    await keepText(store, identifier, TEXT);
    await store.open(identifier);
    await writeFile((await store.stage()).path, "half an upload");
    await open({ cacheBytesMax: 0 }, folder);
    expect(await filesIn(folder)).toHaveLength(3);
    await open({ cacheBytesMax: 0, openedAgeMaxMs: -1, stagedAgeMaxMs: -1 }, folder);
    expect(await filesIn(folder)).toEqual([]);
  });
});

describe("a server without conditional writes", () => {
  it.each(["refuses", "ignores"])("that %s the condition still keeps the first bytes", async (why) => {
    front.turn = async ({ method, path, headers }) => {
      if (why === "refuses" && "if-none-match" in headers) return { answer: 501, code: "NotImplemented" };
      if (method === "PUT" && path.includes("probe")) await server.removeObject(bucket, "berth/.berth-probe");
      return undefined;
    };
    const { store } = await open();
    const identifier = anIdentifier();
    for (const text of ["first", "second"]) await keepText(store, identifier, text);
    expect(await readText((await open()).store, identifier)).toBe("first");
    expect(
      front.seen.some(
        ({ path, headers }) => path.includes(identifier.slice(-64)) && "if-none-match" in headers,
      ),
    ).toBe(false);
  });
});

describe("the start", () => {
  const secret = "not-the-secret-of-the-tests";
  const wrong: readonly (readonly [name: string, changes: Changes, why: RegExp])[] = [
    [
      "the access key",
      { credentials: { ...S3_CREDENTIALS, accessKeyId: "nobody" } },
      /does not know the access key/,
    ],
    [
      "the secret",
      { credentials: { ...S3_CREDENTIALS, secretAccessKey: secret } },
      /secret key does not match/,
    ],
    ["the region", { region: "eu-central-1" }, /bucket is in another region/],
    ["the use of TLS", { endpoint: "https" }, /the server does not speak it there/],
  ];
  it.each(wrong)(
    "names endpoint, bucket and cause, but no secret, if %s is wrong",
    async (_, changes, why) => {
      const given =
        changes.endpoint === "https" ? server.endpoint.replace("http:", "https:") : front.endpoint;
      const failure = await open({ ...changes, endpoint: given, startWaitMs: 60_000 }).catch(
        (error) => error,
      );
      expect(failure).toMatchObject({ ...UNAVAILABLE, message: expect.stringMatching(why) });
      expect(failure.message).toContain(`The bucket ${bucket} at ${given} cannot be used`);
      expect(JSON.stringify([failure.message, failure.context, `${failure.cause}`])).not.toContain(secret);
    },
  );

  it("names a bucket that does not exist", async () => {
    await expect(open({ bucket: "no-such-bucket", startWaitMs: 60_000 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: `The bucket no-such-bucket at ${front.endpoint} cannot be used: there is no such bucket (NoSuchBucket).`,
    });
  });

  it("waits for a server that does not answer yet, and logs it once", async () => {
    await server.kill();
    lines.length = 0;
    const opening = open({ startWaitMs: 60_000 });
    await expect.poll(() => lines).toHaveLength(1);
    await server.start();
    const { store } = await opening;
    await store.ping(AbortSignal.timeout(5000));
    expect(lines).toMatchObject([
      { op: "package_store.connect", ok: false, code: "package_store_unavailable" },
      { ok: true },
    ]);
  });

  it("fails with the endpoint and the cause when its waiting time is over", async () => {
    await server.kill();
    await expect(open({ endpoint: server.endpoint, startWaitMs: 300 })).rejects.toMatchObject({
      code: "package_store_unavailable",
      message: `The bucket ${bucket} at ${server.endpoint} cannot be used: connection refused (ECONNREFUSED). Gave up after 0.3 s.`,
    });
  });

  it("gives up after the same time on a server that accepts connections but never answers", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    scope.add(() => void silent.close());
    const address = silent.address();
    const endpoint = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    await expect(open({ endpoint, idleTimeoutMs: 100, startWaitMs: 300 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("it did not answer in time (TimeoutError)"),
    });
  });

  it("finds credentials where the vendor's tools look, and reports when there are none", async () => {
    const names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"] as const;
    scope.add(() => {
      for (const name of names) delete process.env[name];
    });
    process.env["AWS_EC2_METADATA_DISABLED"] = "true";
    await expect(open({ credentials: undefined })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("no credentials were found (CredentialsProviderError)"),
    });
    process.env["AWS_ACCESS_KEY_ID"] = S3_CREDENTIALS.accessKeyId;
    process.env["AWS_SECRET_ACCESS_KEY"] = S3_CREDENTIALS.secretAccessKey;
    const { store } = await open({ credentials: undefined });
    await store.ping(AbortSignal.timeout(5000));
  });

  it("uses no proxy, whatever the environment names", async () => {
    const names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
    const before = names.map((name) => [name, process.env[name]] as const);
    scope.add(() => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });
    for (const name of names) process.env[name] = "http://127.0.0.1:9";
    await (await open()).store.ping(AbortSignal.timeout(5000));
  });
});

describe("a server with a certificate of a private authority", () => {
  it("is trusted only with the file of that authority", async () => {
    const authority = scope.use(await makeAuthority());
    const secure = scope.use(await startS3Server(await authority.issue(["DNS:localhost"])));
    const changes = { endpoint: secure.endpoint, bucket: await secure.createBucket() };
    const caBundle = await readFile(authority.caFile, "utf8");
    const { store } = await open({ ...changes, caBundle });
    const identifier = anIdentifier();
    await keepText(store, identifier, TEXT);
    expect(await readText((await open({ ...changes, caBundle })).store, identifier)).toBe(TEXT);
    await expect(open({ ...changes, startWaitMs: 60_000 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("the server's certificate is not trusted"),
    });
    const elsewhere = secure.endpoint.replace("localhost", "127.0.0.1");
    await expect(open({ ...changes, caBundle, endpoint: elsewhere })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("the server's certificate is for another host name"),
    });
  });
});

async function filesIn(folder: string): Promise<readonly string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
