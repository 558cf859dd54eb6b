/** Every route of `/v1` against every kind of key, over a real socket, out of the app's own table of routes. */
import { createHash, randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { TenantId } from "../../src/domain/ids.ts";
import { SCOPES, type Scope } from "../../src/domain/scope.ts";
import type { Access } from "../../src/http/middleware/authenticate.ts";
import type { RouteRow } from "../../src/http/route-spec.ts";
import { IDENTIFIER } from "../harness/builders/a-stored-package.ts";
import { type Door, openDoor } from "../harness/rigs/door.ts";
import { ADMIN_KEY, OTHER_TENANT, TENANT } from "../harness/samples/callers.ts";

/** What each route is meant to need, said a second time: a route that is not here, or says otherwise, fails. */
const MEANT: Readonly<Record<string, Access>> = {
  "POST /v1/packages": { opens: "any", scope: "packages:write" },
  "GET /v1/packages": { opens: "any", scope: "read" },
  "GET /v1/packages/{identifier}": { opens: "any", scope: "read" },
  "GET /v1/packages/{identifier}/assets/{name}": { opens: "any", scope: "read" },
  "GET /v1/packages/{identifier}/readme": { opens: "any", scope: "read" },
  "GET /v1/packages/{identifier}/privacy": { opens: "any", scope: "read" },
  "GET /v1/exports/{identifier}": { opens: "operator", scope: "read" },
  "POST /v1/imports": { opens: "operator", scope: "packages:write" },
  "POST /v1/bundles": { opens: "any", scope: "packages:write" },
  "GET /v1/bundles": { opens: "any", scope: "read" },
  "GET /v1/bundles/{identifier}": { opens: "any", scope: "read" },
  "DELETE /v1/bundles/{identifier}": { opens: "operator", scope: "packages:write" },
  "POST /v1/tenants/{tenant}/installations": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/installations": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/installations/{id}": { opens: "tenant", scope: "read" },
  "DELETE /v1/tenants/{tenant}/installations/{id}": { opens: "tenant", scope: "installations:write" },
  "PATCH /v1/tenants/{tenant}/installations/{id}": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/installations/{id}/upgrade": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/installations/{id}/rollback": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/installations/{id}/restart": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/installations/{id}/enable": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/installations/{id}/disable": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/debugging-key": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/settings": { opens: "tenant", scope: "read" },
  "PUT /v1/tenants/{tenant}/settings": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/installations/{id}/egress": { opens: "tenant", scope: "read" },
  "PUT /v1/tenants/{tenant}/installations/{id}/egress": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/installations/{id}/variables": { opens: "tenant", scope: "read" },
  "PUT /v1/tenants/{tenant}/installations/{id}/variables": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/installations/{id}/permissions": { opens: "tenant", scope: "read" },
  "PUT /v1/tenants/{tenant}/installations/{id}/permissions": {
    opens: "operator",
    scope: "installations:write",
  },
  "POST /v1/tenants/{tenant}/credentials": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/credentials": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/credentials/{id}": { opens: "tenant", scope: "read" },
  "PUT /v1/tenants/{tenant}/credentials/{id}": { opens: "tenant", scope: "installations:write" },
  "PATCH /v1/tenants/{tenant}/credentials/{id}": { opens: "tenant", scope: "installations:write" },
  "DELETE /v1/tenants/{tenant}/credentials/{id}": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/quotas": { opens: "tenant", scope: "read" },
  "PUT /v1/tenants/{tenant}/quotas": { opens: "operator", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/installations/{id}/logs": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/installations/{id}/runtimes": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/providers": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/tools": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/tasks": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/tasks/{id}": { opens: "tenant", scope: "read" },
  "POST /v1/tenants/{tenant}/tasks/{id}/cancel": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/tasks/{id}/events": { opens: "tenant", scope: "read" },
  "GET /v1/tenants": { opens: "operator", scope: "read" },
  "GET /v1/tenants/{tenant}": { opens: "tenant", scope: "read" },
  "DELETE /v1/tenants/{tenant}": "admin",
  "GET /v1/tenants/{tenant}/events": { opens: "tenant", scope: "read" },
  "POST /v1/tenants/{tenant}/endpoints": { opens: "tenant", scope: "installations:write" },
  "GET /v1/tenants/{tenant}/endpoints": { opens: "tenant", scope: "read" },
  "GET /v1/tenants/{tenant}/endpoints/{id}": { opens: "tenant", scope: "read" },
  "PATCH /v1/tenants/{tenant}/endpoints/{id}": { opens: "tenant", scope: "installations:write" },
  "DELETE /v1/tenants/{tenant}/endpoints/{id}": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/endpoints/{id}/enable": { opens: "tenant", scope: "installations:write" },
  "POST /v1/tenants/{tenant}/endpoints/{id}/disable": { opens: "tenant", scope: "installations:write" },
  "GET /v1/disk": { opens: "operator", scope: "read" },
  "POST /v1/disk/gc": { opens: "operator", scope: "packages:write" },
  "GET /v1/disk/gc/{id}": { opens: "operator", scope: "read" },
  "GET /v1/doctor": { opens: "operator", scope: "read" },
  "GET /v1/takeover": { opens: "operator", scope: "read" },
  "GET /v1/events": { opens: "operator", scope: "read" },
  "GET /v1/trust": { opens: "any", scope: "read" },
  "GET /v1/trust/keys": { opens: "any", scope: "read" },
  "POST /v1/trust/keys": { opens: "operator", scope: "trust:write" },
  "DELETE /v1/trust/keys/{id}": { opens: "operator", scope: "trust:write" },
  "GET /v1/trust/admissions": { opens: "any", scope: "read" },
  "POST /v1/trust/admissions": { opens: "operator", scope: "trust:write" },
  "DELETE /v1/trust/admissions/{checksum}": { opens: "operator", scope: "trust:write" },
  "GET /v1/tenants/{tenant}/trust": { opens: "tenant", scope: "read" },
  "PUT /v1/tenants/{tenant}/trust": { opens: "operator", scope: "trust:write" },
  "POST /v1/keys": "admin",
  "GET /v1/keys": "admin",
  "DELETE /v1/keys/{id}": "admin",
};
const INVOKE =
  /^POST \/v1\/tenants\/\{tenant\}\/plugins\/\{author\}\/\{name\}\/(invoke\/\w+\/\w+|invoke_(tool|llm))$/;

const nameOf = ({ method, path }: RouteRow) => `${method.toUpperCase()} ${path}`;

function meant(route: RouteRow): Access | undefined {
  const name = nameOf(route);
  return INVOKE.test(name) ? { opens: "tenant", scope: "invoke" } : MEANT[name];
}

function pathOf({ path }: RouteRow): string {
  return path
    .replace("{tenant}", TENANT)
    .replace("{identifier}", IDENTIFIER)
    .replace("{id}", randomUUID())
    .replace("{author}", "berth")
    .replace("{name}", "echo");
}

/** Every kind of header that may be sent. Of keys with scopes, those with the scope asked for and those without it. */
type Sender =
  | "right"
  | "admin"
  | "operator"
  | "tenant"
  | "other tenant"
  | "operator without"
  | "tenant without";

/** Who gets past the door: the rule, in the fewest words. */
function opens(access: Access, sender: Sender): boolean {
  if (sender === "admin" || sender === "right") return true;
  if (access === "public") return true;
  if (access === "admin" || sender === "operator without" || sender === "tenant without") return false;
  if (sender === "operator" || access.opens === "any") return true;
  return sender === "tenant" && access.opens === "tenant";
}

let door: Door;
let url: string;
let routes: readonly RouteRow[];
beforeAll(async () => {
  door = await openDoor();
  ({ url } = await door.listen());
  routes = door.app.routes.table.filter(({ path }) => path.startsWith("/v1"));
});
afterAll(() => door[Symbol.asyncDispose]());

const keys = new Map<string, string>();
/** One key per tenant and set of scopes. */
async function keyWith(scopes: readonly Scope[], tenantId: TenantId | undefined): Promise<string> {
  const id = `${tenantId} ${scopes.join(" ")}`;
  const known = keys.get(id) ?? (await door.keyring.create({ name: "k", tenantId, scopes })).key;
  keys.set(id, known);
  return known;
}

async function keyOf(sender: Sender, access: Access): Promise<string> {
  const scopes: readonly Scope[] = access === "public" || access === "admin" ? SCOPES : [access.scope];
  const without = SCOPES.filter((scope) => !scopes.includes(scope));
  // where no scope opens the route, a key with all of them is the one "without"
  const others = without.length === 0 ? SCOPES : without;
  switch (sender) {
    case "admin":
      return ADMIN_KEY;
    case "right":
      if (access === "admin") return ADMIN_KEY;
      return await keyWith(scopes, access !== "public" && access.opens === "tenant" ? TENANT : undefined);
    case "operator":
      return await keyWith(scopes, undefined);
    case "tenant":
      return await keyWith(scopes, TENANT);
    case "other tenant":
      return await keyWith(SCOPES, OTHER_TENANT);
    case "operator without":
      return await keyWith(others, undefined);
    case "tenant without":
      return await keyWith(others, TENANT);
    default:
      return sender satisfies never;
  }
}

async function send(route: RouteRow, authorization: string | undefined) {
  const answer = await fetch(url + pathOf(route), {
    method: route.method.toUpperCase(),
    headers: {
      accept: "application/json",
      ...(authorization !== undefined && { authorization }),
      ...(route.method === "post" && { "content-type": "application/json" }),
    },
    ...(route.method === "post" && { body: "{}" }),
  });
  const body = (await answer.json()) as { error?: { code: string; message: string; details: unknown } };
  return { status: answer.status, error: body.error };
}

test("the table lists every route with its intended access, and no other route is served", () => {
  expect(routes.length).toBeGreaterThan(Object.keys(MEANT).length);
  for (const route of routes)
    expect({ [nameOf(route)]: route.access }).toEqual({ [nameOf(route)]: meant(route) });
  expect(Object.keys(MEANT).filter((name) => !routes.some((route) => nameOf(route) === name))).toEqual([]);
  for (const [pattern, methods] of door.app.routes.served) {
    if (!pattern.startsWith("/v1")) continue;
    const path = new RegExp(
      `^${pattern.replaceAll(/:\w+(\{[^}]+\})?/g, (_all, many) => (many ? ".+" : "[^/]+"))}$`,
    );
    const served = routes
      .filter((route) => path.test(pathOf(route)))
      .map(({ method }) => method.toUpperCase());
    expect(served, pattern).toEqual(expect.arrayContaining([...methods]));
  }
});

describe("every route refuses a request", () => {
  async function expectStranger(authorization: string | undefined): Promise<Set<string>> {
    const messages = new Set<string>();
    const asked = door.memory.calls.length;
    for (const route of routes) {
      const { status, error } = await send(route, authorization);
      expect([nameOf(route), status, error?.code]).toEqual([nameOf(route), 401, "unauthorized"]);
      messages.add(JSON.stringify(error));
    }
    // no refusal costs the database anything
    expect(door.memory.calls.slice(asked)).toEqual([]);
    return messages;
  }

  test("without a key", async () => {
    await expectStranger(undefined);
  });

  test.each(["Basic YTpi", "Bearer", `Bearer ${ADMIN_KEY} ${ADMIN_KEY}`, ADMIN_KEY, `Token ${ADMIN_KEY}`])(
    "with the malformed header %s",
    async (header) => {
      await expectStranger(header);
    },
  );

  test("with a wrong, revoked or expired key, and the answer does not say which it is", async () => {
    const revoked = await door.keyring.create({ name: "revoked", tenantId: TENANT });
    await door.keyring.revoke(revoked.record.id);
    const expired = "berth_expired0000000000000000000000000";
    await door.memory.store.keys.create({
      name: "expired",
      tenantId: undefined,
      hint: "berth_expi",
      hash: createHash("sha256").update(expired).digest("hex"),
      expiresAt: new Date(Date.now() - 1),
    });
    await door.keyring.changed();
    const messages = new Set<string>();
    for (const key of ["berth_wrong", revoked.key, expired])
      for (const message of await expectStranger(`Bearer ${key}`)) messages.add(message);
    expect(messages.size).toBe(1);
    expect(JSON.stringify(door.logged)).not.toContain(expired);
  });
});

describe.each<Sender>([
  "right",
  "admin",
  "operator",
  "tenant",
  "other tenant",
  "operator without",
  "tenant without",
])("a caller with the key of: %s", (sender) => {
  test("is admitted to the routes meant for it and gets 403 on the others, with a missing scope named", async () => {
    for (const route of routes) {
      const access = meant(route) ?? "admin";
      const { status, error } = await send(route, `Bearer ${await keyOf(sender, access)}`);
      if (opens(access, sender)) {
        expect([nameOf(route), [401, 403].includes(status), error?.message]).toEqual([
          ...[nameOf(route), false, error?.message],
        ]);
        continue;
      }
      expect([nameOf(route), status, error?.code]).toEqual([nameOf(route), 403, "forbidden"]);
      if (
        sender.endsWith("without") &&
        access !== "admin" &&
        access !== "public" &&
        access.opens !== "operator"
      )
        expect(error?.message).toContain(`lacks the scope ${access.scope}; it has `);
    }
  });
});

test("a refused request is logged with its code and key id, never with the key", async () => {
  const { key, record } = await door.keyring.create({ name: "reader", tenantId: TENANT, scopes: ["read"] });
  await send({ method: "delete", path: "/v1/keys/{id}", access: "admin" }, `Bearer ${key}`);
  expect(door.logged.at(-1)).toMatchObject({
    op: "http.request",
    ok: false,
    status: 403,
    code: "forbidden",
    key_id: record.id,
  });
  expect(JSON.stringify(door.logged)).not.toContain(key);
});
