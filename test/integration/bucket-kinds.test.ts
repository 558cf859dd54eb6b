/** Buckets whose servers refuse or ignore some of what a put may carry: the start finds out, and puts go without it. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { Bucket } from "../../src/storage/s3/bucket.ts";
import { systemClock } from "../../src/util/clock.ts";
import { sha256 } from "../../src/util/sha256.ts";
import { anIdentifier, keepText, readText } from "../contract/package-store.contract.ts";
import { BUCKET_KINDS } from "../harness/doubles/bucket-kinds.ts";
import { TEXT, UNAVAILABLE, useBucketPackages } from "../harness/rigs/bucket-packages.ts";
import type { SeenRequest } from "../harness/servers/s3-front.ts";

const rig = useBucketPackages();
const never = new AbortController().signal;

/** What puts of anything but the probe carried. */
function sent() {
  const puts = rig.front.seen.filter(({ method, path }) => method === "PUT" && !path.includes("probe"));
  const has =
    (name: string) =>
    ({ headers }: SeenRequest) =>
      name in headers;
  return {
    puts: puts.length,
    checksum: puts.filter(has("x-amz-checksum-sha256")).length,
    condition: puts.filter(has("if-none-match")).length,
  };
}

describe.each(BUCKET_KINDS)("a bucket that $name", ({ refuses, accepted }) => {
  it("keeps, returns, lists and removes packages and files, and gets no put that it refuses", async () => {
    rig.front.turn = refuses;
    rig.lines.length = 0;
    const { store, files, folder } = await rig.open();
    const identifier = anIdentifier();
    for (const text of [TEXT, "second"]) await keepText(store, identifier, text);
    const other = await rig.open();
    expect(await readText(other.store, identifier)).toBe(TEXT);
    expect((await Array.fromAsync(store.list(never))).map((one) => one.identifier)).toContain(identifier);
    await store.remove(identifier);
    expect(await store.has(identifier)).toBe(false);

    await files.write("assets/a.svg", Buffer.from("<svg/>"));
    expect(String(await files.read("assets/a.svg"))).toBe("<svg/>");
    const large = join(folder, "large");
    await writeFile(large, TEXT);
    await files.writeFrom("assets/large", large);
    expect(await files.size("assets/large")).toBe(TEXT.length);
    expect(await files.remove("assets/a.svg")).toBe(true);

    expect(sent()).toEqual({
      puts: 3,
      checksum: accepted.checksum ? 3 : 0,
      condition: accepted.condition ? 1 : 0,
    });
    const isWhole = accepted.checksum && accepted.condition;
    expect(rig.lines.filter(({ op }) => op === "package_store.probe")).toMatchObject(
      isWhole ? [] : [accepted, accepted],
    );
  });
});

it("a bucket that ignores the condition keeps the first bytes, and gets no condition", async () => {
  rig.front.turn = async ({ method, path }) => {
    if (method === "PUT" && path.includes("probe"))
      await rig.server.removeObject(rig.bucket, "berth/.berth-probe");
    return undefined;
  };
  const { store } = await rig.open();
  const identifier = anIdentifier();
  for (const text of ["first", "second"]) await keepText(store, identifier, text);
  expect(await readText((await rig.open()).store, identifier)).toBe("first");
  expect(sent()).toEqual({ puts: 1, checksum: 1, condition: 0 });
});

it("a put without a checksum is refused by the server where its bytes are not those that were signed", async () => {
  const { folder } = await rig.open();
  const file = join(folder, "changed");
  await writeFile(file, TEXT);
  const settings = { ...rig.server.settings(rig.bucket), attemptsMax: 1 };
  const bucket = new Bucket({ settings, clock: systemClock });
  rig.scope.add(() => bucket.close());
  bucket.accepts({ checksum: false, condition: false });
  const digest = { bytes: TEXT.length, sha256: sha256("other bytes") };
  await expect(bucket.putFile("berth/changed", file, { digest, onlyNew: false })).rejects.toThrow(
    "it received other bytes than were sent",
  );
  expect(await bucket.exists("berth/changed")).toBe(false);
});

describe("a bucket that refuses what Berth must do", () => {
  it("at the start is named with its answer", async () => {
    rig.front.turn = ({ method }) => (method === "PUT" ? { answer: 501, code: "NotImplemented" } : undefined);
    await expect(rig.open({ startWaitMs: 60_000 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: `The bucket ${rig.bucket} at ${rig.front.endpoint} cannot be used: it answered 501 NotImplemented.`,
    });
  });

  it("at the start because it wants its name in the host's is named with the setting", async () => {
    rig.front.turn = () => ({ answer: 403, code: "SecondLevelDomainForbidden" });
    await expect(rig.open({ startWaitMs: 60_000 })).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringContaining("BERTH_S3_PATH_STYLE=no"),
    });
  });

  it("later is not reported as one that cannot be reached", async () => {
    const { store } = await rig.open();
    rig.front.turn = () => ({ answer: 501, code: "NotImplemented" });
    await expect(keepText(store, anIdentifier(), "x")).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: expect.stringMatching(/^The package store refuses the request: it answered 501/),
    });
    rig.front.turn = () => ({ answer: 502, code: "BadGateway" });
    await expect(store.open(anIdentifier())).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: "The package store cannot be reached; retry later.",
    });
  });
});
