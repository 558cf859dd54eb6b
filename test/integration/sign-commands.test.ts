/** The commands that make keys, sign and verify: files alone, no Berth runs. */
import { spawn } from "node:child_process";
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parsePublicKey } from "../../src/packages/signature/keys.ts";
import { type PackedPlugin, packPlugin } from "../harness/clients/client.ts";
import { endOf } from "../harness/processes/ended.ts";
import { BERTH_MAIN, inherited } from "../harness/rigs/berth.ts";
import { wronglySigned } from "../harness/samples/signing.ts";
import { SIGNER } from "../support/test-key.ts";

let folder: string;
let echo: PackedPlugin;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-commands-"));
  echo = await packPlugin("echo");
  await writeFile(join(folder, "echo.difypkg"), echo.bytes);
  await writeFile(join(folder, "other.pem"), SIGNER.publicKey);
});
afterAll(() => rm(folder, { recursive: true }));

async function run(...command: string[]) {
  const child = spawn(process.execPath, [BERTH_MAIN, ...command], {
    cwd: folder,
    // Where no Berth listens, and none may be needed.
    env: { ...inherited(), BERTH_DATA: join(folder, "data"), BERTH_ADMIN_KEY: "k", BERTH_PORT: "1" },
    stdio: ["ignore", "pipe", "pipe"],
  });
  return await endOf(child);
}

test("a key pair is created only once, and its public key alone verifies a package signed with it", async () => {
  const made = await run("keygen", "acme");
  const { id } = parsePublicKey(await readFile(join(folder, "acme.public.pem"), "utf8"), "key");
  expect(made).toMatchObject({ code: 0, output: expect.stringContaining(`${id}\nacme.private.pem`) });
  expect((await stat(join(folder, "acme.private.pem"))).mode & 0o777).toBe(0o600);
  const before = await readFile(join(folder, "acme.private.pem"));
  expect(await run("keygen", "acme")).toMatchObject({
    code: 1,
    errors: expect.stringContaining("files do not exist yet"),
  });
  expect(await readFile(join(folder, "acme.private.pem"))).toEqual(before);

  const plain = await run("sign", "echo.difypkg", "--key", "acme.private.pem");
  const size = (await stat(join(folder, "echo.signed.difypkg"))).size;
  expect(plain).toMatchObject({
    code: 0,
    output: `${echo.identifier}\necho.signed.difypkg (${size} bytes)\n`,
    errors: "",
  });
  expect(await run("verify", "echo.signed.difypkg", "--key", "acme.public.pem")).toMatchObject({
    code: 0,
    output: expect.stringMatching(
      new RegExp(
        `^${echo.identifier}\nsigned by acme.public.pem \\(${id}\\)\ncategory none \\(missing\\)\ntime 20\\d\\d-`,
      ),
    ),
  });
  expect(
    await run("verify", "echo.signed.difypkg", "--key", "other.pem", "--key", "acme.public.pem"),
  ).toMatchObject({ code: 0, output: expect.stringContaining("signed by acme.public.pem") });
  expect(await run("verify", "echo.signed.difypkg", "--key", "other.pem")).toMatchObject({
    code: 1,
    output: "",
    errors: expect.stringMatching(/No given key made the signature .*; tried: other\.pem \(/),
  });
});

test("a category changes the identifier of the package, and the command reports that", async () => {
  await writeFile(join(folder, "key.pem"), SIGNER.privateKey);
  const signed = [
    "sign",
    "echo.difypkg",
    "--key",
    "key.pem",
    "--category",
    "partner",
    "-o",
    "partner.difypkg",
  ];
  const { code, output, errors } = await run(...signed);
  expect([code, output.startsWith(echo.identifier)]).toEqual([0, false]);
  expect(errors).toContain(`the category changes the identifier; ${echo.identifier} is now`);
  expect(await run("verify", "partner.difypkg", "--key", "other.pem")).toMatchObject({
    code: 0,
    output: expect.stringContaining("category partner\n"),
  });
});

test("a command that cannot sign or verify exits with 1 and reports the reason", async () => {
  await writeFile(join(folder, "wrong.difypkg"), (await wronglySigned(echo)).bytes);
  const cases = [
    [["sign", "echo.difypkg", "--key", "other.pem"], /--key is "\(not shown\)"/],
    [["sign", "echo.difypkg", "--key", "gone.pem"], /--key is "gone\.pem"; accepted: a readable PEM file/],
    [
      ["sign", "echo.difypkg", "--key", "key.pem", "--category", "Partner"],
      /--category is "Partner"; accepted: langgenius, partner, community/,
    ],
    [["verify", "echo.difypkg", "--key", "other.pem"], /is not signed/],
    [["verify", "wrong.difypkg", "--key", "other.pem"], /No given key made the signature/],
    [["verify", "gone.difypkg", "--key", "other.pem"], /FILE is "gone\.difypkg"/],
    [["verify", "wrong.difypkg", "--key", "key.pem"], /a private key \(not shown\)/],
    [["verify", "wrong.difypkg"], /No Berth answers at http:\/\/127\.0\.0\.1:1/],
    [["trust", "add", "other.pem"], /No Berth answers at http:\/\/127\.0\.0\.1:1/],
  ] as const;
  for (const [command, message] of cases) {
    const { code, output, errors } = await run(...command);
    expect([command, code, output]).toEqual([command, 1, ""]);
    expect(errors).toMatch(message);
    expect(errors).not.toContain("    at ");
  }
});
