/** Signatures from the outside: what a policy lets in, what a refusal says, what is trusted, and for how long. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type AcceptedInstall,
  accept,
  aTenant,
  type ErrorJson,
  follow,
  install,
  type PackedPlugin,
  packPlugin,
  packVersion,
  toolTexts,
} from "../harness/clients/client.ts";
import type { BerthProcess } from "../harness/rigs/berth.ts";
import { ON_POSTGRES, openSite, type Site } from "../harness/rigs/site.ts";
import { SIGNER_KEY, signed, wronglySigned } from "../harness/samples/signing.ts";
import { SIGNER } from "../support/test-key.ts";

interface TrustJson {
  readonly verdict: string;
  readonly policy: string;
  readonly policy_from: string;
  readonly key_id: string | null;
  readonly category: string | null;
}
interface UploadJson {
  readonly identifier: string;
  readonly warnings: readonly string[];
  readonly trust: TrustJson;
}

let echo: PackedPlugin;
let next: PackedPlugin;
let later: PackedPlugin;
let vendor: PackedPlugin;
beforeAll(async () => {
  echo = await packPlugin("echo");
  next = await packVersion("echo", "0.0.2");
  later = await packVersion("echo", "0.0.3");
  vendor = await packPlugin("echo", {
    "manifest.yaml": (text) => text.replace(/^author: .*/m, "author: langgenius"),
  });
});

const checksumOf = ({ identifier }: PackedPlugin) => identifier.slice(identifier.indexOf("@") + 1);

describe.each(ON_POSTGRES)("trust on $database", ({ database }) => {
  let site: Site;
  let berth: BerthProcess;
  let first: AcceptedInstall;
  beforeAll(async () => {
    site = await openSite({ database, env: { BERTH_SIGNATURE_POLICY: "require" } });
    berth = await site.start();
  });
  afterAll(async () => {
    await berth?.[Symbol.asyncDispose]();
    await site?.[Symbol.asyncDispose]();
  });

  /** A command on the Berth that runs. */
  const run = (...command: string[]) => site.run(command, { BERTH_PORT: new URL(berth.url).port });
  const send = async (plugin: PackedPlugin, options: { query?: string; key?: string } = {}) => {
    const { query = "", ...rest } = options;
    const answer = await berth.request("POST", `/v1/packages${query}`, { body: plugin.bytes, ...rest });
    const json = (await answer.json()) as UploadJson & { error?: ErrorJson };
    return { status: answer.status, ...json };
  };
  const keyOf = async (tenant: string) =>
    (await berth.json<{ key: string }>(201, "POST", "/v1/keys", { body: { name: "t", tenant_id: tenant } }))
      .key;
  const setPolicy = (tenant: string, policy: string | null) =>
    berth.json<{ policy: string }>(200, "PUT", `/v1/tenants/${tenant}/trust`, { body: { policy } });
  const shown = (plugin: PackedPlugin, key?: string) =>
    berth.json<{ warnings: readonly string[]; signatures: readonly unknown[] }>(
      ...([200, "GET", `/v1/packages/${plugin.identifier}`] as const),
      ...(key === undefined ? [] : [{ key }]),
    );
  const trustOf = async ({ tenant, installationId }: { tenant: string; installationId: string }) =>
    berth.json<{ trust: TrustJson | null; state: string; warnings: readonly string[] }>(
      ...([200, "GET", `/v1/tenants/${tenant}/installations/${installationId}`] as const),
    );

  test("an unsigned package is refused under the policy require with the commands that would help, and is not stored", async () => {
    const { status, error } = await send(echo);
    expect([status, error?.code]).toEqual([422, "signature_required"]);
    expect(error?.details).toMatchObject({
      policy: "require",
      policy_from: "instance",
      keys: [],
      category: null,
      commands: ["berth trust add PUBLIC-KEY.pem", `berth trust admit ${checksumOf(echo)}`],
    });
    const { items } = await berth.json<{ items: unknown[] }>(200, "GET", "/v1/packages");
    expect(items).toEqual([]);
  });

  test("one command trusts a key; a package signed with it is installed, and its installation is shown as verified", async () => {
    const file = join(site.dataFolder, "acme.public.pem");
    await writeFile(file, SIGNER.publicKey);
    expect(await run("trust", "add", file)).toMatchObject({
      code: 0,
      output: `trusted: ${SIGNER_KEY.id}  acme\n`,
    });
    expect((await run("trust", "list")).output).toBe(
      `policy of the instance: require\nkey        ${SIGNER_KEY.id}  acme\n`,
    );
    const uploaded = await send(await signed(echo));
    expect([uploaded.status, uploaded.identifier]).toEqual([201, echo.identifier]);
    const verified = { verdict: "verified", policy: "require", key_id: SIGNER_KEY.id, category: null };
    expect(uploaded.trust).toMatchObject(verified);
    first = await install(berth, await signed(echo));
    const { trust, warnings } = await trustOf(first);
    expect(trust).toMatchObject(verified);
    expect(warnings.join()).not.toContain("signed");
  });

  test("a wrong signature is refused under warn and require, and accepted only under off", async () => {
    const wrong = await wronglySigned(next);
    for (const policy of ["warn", "require"]) {
      const tenant = aTenant();
      await setPolicy(tenant, policy);
      const { status, error } = await send(wrong, { key: await keyOf(tenant) });
      expect([policy, status, error?.code]).toEqual([policy, 422, "signature_wrong"]);
      expect(error?.message).toMatch(/Wanted: a signature by acme \([0-9a-f]{16}\)\. .*berth trust add/);
    }
    const tenant = aTenant();
    await setPolicy(tenant, "off");
    const key = await keyOf(tenant);
    const { status, trust } = await send(wrong, { key });
    expect([status, trust]).toMatchObject([201, { verdict: "wrong", policy: "off", policy_from: "tenant" }]);
    // no request makes it looser, each may make it tighter
    const asked = await send(wrong, { key, query: "?verifySignature=true" });
    expect([asked.status, asked.error?.code]).toEqual([422, "signature_wrong"]);
    const unsigned = await send(echo, { key, query: "?verifySignature=true" });
    expect([unsigned.status, unsigned.trust]).toMatchObject([200, { verdict: "verified" }]);
  });

  test("one package is admitted by its digest under the policy require, until the admission is removed", async () => {
    const admitted = await run("trust", "admit", next.identifier, "--note", "read by hand");
    expect(admitted).toMatchObject({ code: 0, output: `admitted: ${checksumOf(next)}\n` });
    expect((await run("trust", "list")).output).toContain(`admission  ${checksumOf(next)}  read by hand\n`);
    expect(await send(next)).toMatchObject({ trust: { verdict: "admitted", policy: "require" } });
    const other = await packVersion("echo", "0.0.4");
    expect((await send(other)).error?.code).toBe("signature_required");
    expect(await run("trust", "remove", checksumOf(next).slice(0, 12))).toMatchObject({
      code: 0,
      output: `removed: ${checksumOf(next)}\n`,
    });
    expect((await send(next)).error?.code).toBe("signature_required");
  });

  test("a package of the author langgenius needs a signature of the category langgenius", async () => {
    const { error } = await send(await signed(vendor, "community"));
    expect(error).toMatchObject({ code: "signature_required", details: { category: "langgenius" } });
    const { status, trust } = await send(await signed(vendor, "langgenius"));
    expect([status, trust]).toMatchObject([201, { verdict: "verified", category: "langgenius" }]);
  });

  test("a tenant with the policy warn gets the warning on the package, in the task and on the installation", async () => {
    const tenant = aTenant();
    expect((await run("trust", "policy", tenant, "warn")).output).toBe(`${tenant}: warn\n`);
    const key = await keyOf(tenant);
    const warning = `${later.identifier} is not signed by a trusted key; the policy require would refuse it.`;
    const uploaded = await send(later, { key });
    expect([uploaded.status, uploaded.warnings]).toEqual([201, expect.arrayContaining([warning])]);
    expect((await shown(later, key)).warnings).toContain(warning);
    const body = { identifier: later.identifier, verifySignature: true };
    const path = `/v1/tenants/${tenant}/installations`;
    const refused = await berth.json<{ task: { id: string } }>(202, "POST", path, { body, key });
    const events = await follow(berth, { tenant, taskId: refused.task.id });
    expect(events.at(-1)).toMatchObject({
      state: "failed",
      cause: { code: "signature_required", details: { policy_from: "request" } },
    });
    const installed = await accept(berth, later, tenant);
    const said = (await follow(berth, installed)).filter(({ message }) => message === warning);
    expect(said).toMatchObject([{ type: "warning", step: "verifying" }]);
    const { trust, state, warnings } = await trustOf(installed);
    expect([state, trust?.verdict, trust?.policy]).toEqual(["ready", "unsigned", "warn"]);
    expect(warnings).toContain(warning);
    // what is there was not verified, and a request that wants that is not told otherwise
    const { error } = await berth.json<{ error: ErrorJson }>(422, "POST", path, { body, key });
    expect(error.code).toBe("signature_required");
    expect((await setPolicy(tenant, null)).policy).toBe("require");
  });

  test("a signature that is uploaded later is kept beside the first bytes, and lets a refused package be installed", async () => {
    const tenant = aTenant();
    const refused = await accept(berth, later, tenant);
    expect((await follow(berth, refused)).at(-1)).toMatchObject({
      state: "failed",
      cause: { code: "signature_required", details: { policy_from: "instance" } },
    });
    const signature = await signed(later);
    expect(await send(signature)).toMatchObject({ status: 200, trust: { verdict: "verified" } });
    const stored = await readFile(join(site.dataFolder, "storage/plugin_packages", later.identifier));
    expect([stored.equals(later.bytes), signature.bytes.equals(later.bytes)]).toEqual([true, false]);
    const { signatures, warnings } = await shown(later);
    expect(signatures).toMatchObject([{ key_id: SIGNER_KEY.id, key_name: "acme", category: null }]);
    expect(warnings.join()).not.toContain("signed");
    const again = await accept(berth, later, tenant);
    expect((await follow(berth, again)).at(-1)).toMatchObject({ state: "ready" });
    expect((await trustOf(again)).trust).toMatchObject({ verdict: "verified", key_id: SIGNER_KEY.id });
  });

  test("tenants can read what is trusted but not change it; an operator needs the scope trust:write", async () => {
    const tenant = aTenant();
    const key = await keyOf(tenant);
    for (const path of ["/v1/trust", "/v1/trust/keys", "/v1/trust/admissions", `/v1/tenants/${tenant}/trust`])
      await berth.json(200, "GET", path, { key });
    const operator = async (scopes: readonly string[]) =>
      (await berth.json<{ key: string }>(201, "POST", "/v1/keys", { body: { name: "o", scopes } })).key;
    const body = { checksum: checksumOf(echo) };
    for (const refused of [key, await operator(["packages:write", "installations:write", "read"])])
      await berth.json(403, "POST", "/v1/trust/admissions", { body, key: refused });
    const allowed = await operator(["trust:write"]);
    await berth.json(201, "POST", "/v1/trust/admissions", { body, key: allowed });
    await berth.json(200, "DELETE", `/v1/trust/admissions/${body.checksum}`, { key: allowed });
  });

  test("an installation keeps running after the trust in its key is removed, and a new install is refused", async () => {
    expect(await run("trust", "remove", SIGNER_KEY.id.slice(0, 8))).toMatchObject({ code: 0 });
    const { tenant } = first;
    expect(
      await toolTexts(berth, { tenant, pluginId: echo.pluginId, tool: "echo", parameters: { text: "on" } }),
    ).toEqual(["on"]);
    expect(await trustOf(first)).toMatchObject({ state: "ready", trust: { verdict: "verified" } });
    const after = await accept(berth, echo);
    expect((await follow(berth, after)).at(-1)).toMatchObject({
      state: "failed",
      cause: { code: "signature_required" },
    });
  });

  test("every change of trust is recorded as an audit event with its subject", async () => {
    const { items } = await berth.json<{ items: { kind: string; subject: string; key_id: string }[] }>(
      ...([200, "GET", "/v1/events?limit=200"] as const),
    );
    const of = (kind: string) => items.filter((event) => event.kind === kind).map(({ subject }) => subject);
    expect(of("trusted_key.add")).toEqual([SIGNER_KEY.id]);
    expect(of("trusted_key.remove")).toEqual([SIGNER_KEY.id]);
    expect(of("admission.add")).toEqual([checksumOf(echo), checksumOf(next)]);
    expect(of("admission.remove")).toEqual([checksumOf(echo), checksumOf(next)]);
    expect(of("signature_policy.set")).toContain("the instance's");
    expect(of("signature.add")).toContain(echo.identifier);
  });
});
