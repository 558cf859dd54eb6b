/** Opening the packages of a bucket at a start: settings that are wrong, a server that is away, trust and credentials. */
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:net";
import { describe, expect, it } from "vitest";
import { anIdentifier, keepText, readText } from "../contract/package-store.contract.ts";
import { type Changes, TEXT, UNAVAILABLE, useBucketPackages } from "../harness/rigs/bucket-packages.ts";
import { makeAuthority } from "../harness/servers/authority.ts";
import { S3_CREDENTIALS, startS3Server } from "../harness/servers/s3-server.ts";

const rig = useBucketPackages();

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
        changes.endpoint === "https" ? rig.server.endpoint.replace("http:", "https:") : rig.front.endpoint;
      const failure = await rig
        .open({ ...changes, endpoint: given, startWaitMs: 60_000 })
        .catch((error) => error);
      expect(failure).toMatchObject({ ...UNAVAILABLE, message: expect.stringMatching(why) });
      expect(failure.message).toContain(`The bucket ${rig.bucket} at ${given} cannot be used`);
      expect(JSON.stringify([failure.message, failure.context, `${failure.cause}`])).not.toContain(secret);
    },
  );

  it("names a bucket that does not exist", async () => {
    await expect(rig.open({ bucket: "no-such-bucket", startWaitMs: 60_000 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: `The bucket no-such-bucket at ${rig.front.endpoint} cannot be used: there is no such bucket (NoSuchBucket).`,
    });
  });

  it("waits for a server that does not answer yet, and logs it once", async () => {
    await rig.server.kill();
    rig.lines.length = 0;
    const opening = rig.open({ startWaitMs: 60_000 });
    await expect.poll(() => rig.lines).toHaveLength(1);
    await rig.server.start();
    const { store } = await opening;
    await store.ping(AbortSignal.timeout(5000));
    expect(rig.lines).toMatchObject([
      { op: "package_store.connect", ok: false, code: "package_store_unavailable" },
      { ok: true },
    ]);
  });

  it("fails with the endpoint and the cause when its waiting time is over", async () => {
    await rig.server.kill();
    await expect(rig.open({ endpoint: rig.server.endpoint, startWaitMs: 300 })).rejects.toMatchObject({
      code: "package_store_unavailable",
      message: `The bucket ${rig.bucket} at ${rig.server.endpoint} cannot be used: connection refused (ECONNREFUSED). Gave up after 0.3 s.`,
    });
  });

  it("gives up after the same time on a server that accepts connections but never answers", async () => {
    const silent = createServer().listen(0, "127.0.0.1");
    await once(silent, "listening");
    rig.scope.add(() => void silent.close());
    const address = silent.address();
    const endpoint = `http://127.0.0.1:${typeof address === "object" ? address?.port : ""}`;
    await expect(rig.open({ endpoint, idleTimeoutMs: 100, startWaitMs: 300 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("it did not answer in time (TimeoutError)"),
    });
  });

  it("finds credentials where the vendor's tools look, and reports when there are none", async () => {
    const names = ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"] as const;
    rig.scope.add(() => {
      for (const name of names) delete process.env[name];
    });
    process.env["AWS_EC2_METADATA_DISABLED"] = "true";
    await expect(rig.open({ credentials: undefined })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("no credentials were found (CredentialsProviderError)"),
    });
    process.env["AWS_ACCESS_KEY_ID"] = S3_CREDENTIALS.accessKeyId;
    process.env["AWS_SECRET_ACCESS_KEY"] = S3_CREDENTIALS.secretAccessKey;
    const { store } = await rig.open({ credentials: undefined });
    await store.ping(AbortSignal.timeout(5000));
  });

  it("uses no proxy, whatever the environment names", async () => {
    const names = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];
    const before = names.map((name) => [name, process.env[name]] as const);
    rig.scope.add(() => {
      for (const [name, value] of before) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
    });
    for (const name of names) process.env[name] = "http://127.0.0.1:9";
    await (await rig.open()).store.ping(AbortSignal.timeout(5000));
  });
});

describe("a server with a certificate of a private authority", () => {
  it("is trusted only with the file of that authority", async () => {
    const authority = rig.scope.use(await makeAuthority());
    const secure = rig.scope.use(await startS3Server(await authority.issue(["DNS:localhost"])));
    const changes = { endpoint: secure.endpoint, bucket: await secure.createBucket() };
    const caBundle = await readFile(authority.caFile, "utf8");
    const { store } = await rig.open({ ...changes, caBundle });
    const identifier = anIdentifier();
    await keepText(store, identifier, TEXT);
    expect(await readText((await rig.open({ ...changes, caBundle })).store, identifier)).toBe(TEXT);
    await expect(rig.open({ ...changes, startWaitMs: 60_000 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("the server's certificate is not trusted"),
    });
    const elsewhere = secure.endpoint.replace("localhost", "127.0.0.1");
    await expect(rig.open({ ...changes, caBundle, endpoint: elsewhere })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("the server's certificate is for another host name"),
    });
  });
});
