import { z } from "zod";
import { TenantId } from "../../../domain/ids.ts";
import { Scope } from "../../../domain/scope.ts";
import type { Keyring } from "../../../keys/keyring.ts";
import type { Routes } from "../../route.ts";
import { KeySchema, keyJson, listOf, PageQuery, pageRequest } from "../../schemas.ts";

const Body = z.strictObject({
  name: z.string().min(1).max(100),
  tenant_id: TenantId.optional().meta({ description: "If absent: an operator's key" }),
  scopes: z.array(Scope).min(1).max(10).optional().meta({ description: "If absent: all" }),
  expires_at: z.iso.datetime({ offset: true }).optional().meta({ description: "If absent: never" }),
});

export function addCreateKey(routes: Routes, { keyring }: { keyring: Pick<Keyring, "create"> }): void {
  routes.add(
    {
      name: "createKey",
      method: "post",
      path: "/v1/keys",
      tag: "keys",
      summary: "Creates a key. It is shown only in this answer.",
      access: "admin",
      body: Body,
      answers: {
        201: {
          description: "The key",
          content: { "application/json": KeySchema.extend({ key: z.string() }) },
        },
      },
      faults: ["invalid_input", "invalid_json", "unsupported_media_type", "conflict"],
    },
    async ({ body: { name, tenant_id: tenantId, scopes, expires_at: expiresAt }, by }) => {
      const { record, key } = await keyring.create({
        name,
        tenantId,
        by,
        ...(scopes !== undefined && { scopes: [...new Set(scopes)] }),
        ...(expiresAt !== undefined && { expiresAt: new Date(expiresAt) }),
      });
      return Response.json(
        { ...keyJson(record, new Date()), key },
        { status: 201, headers: { location: `/v1/keys/${record.id}`, "cache-control": "no-store" } },
      );
    },
  );
}

const Query = PageQuery.extend({ tenant_id: TenantId.optional() });

export function addListKeys(routes: Routes, { keyring }: { keyring: Pick<Keyring, "list"> }): void {
  routes.add(
    {
      name: "listKeys",
      method: "get",
      path: "/v1/keys",
      tag: "keys",
      summary: "Lists keys, newest first, including expired and revoked ones; never the secrets themselves.",
      access: "admin",
      query: Query,
      answers: { 200: { description: "A page", content: { "application/json": listOf(KeySchema) } } },
      faults: ["invalid_input"],
    },
    async ({ query }) => {
      const { tenant_id: tenantId } = query;
      const page = await keyring.list(tenantId === undefined ? {} : { tenantId }, pageRequest(query));
      const now = new Date();
      return Response.json({
        items: page.items.map((key) => keyJson(key, now)),
        next_cursor: page.nextCursor ?? null,
      });
    },
  );
}

export function addRevokeKey(routes: Routes, { keyring }: { keyring: Pick<Keyring, "revoke"> }): void {
  routes.add(
    {
      name: "revokeKey",
      method: "delete",
      path: "/v1/keys/{id}",
      tag: "keys",
      summary: "Revokes a key; every process refuses it within 5 s. Repeating it changes nothing.",
      access: "admin",
      params: z.object({ id: z.string().min(1).max(100) }),
      answers: { 200: { description: "The revoked key", content: { "application/json": KeySchema } } },
      faults: ["not_found"],
    },
    async ({ params: { id }, by }) => Response.json(keyJson(await keyring.revoke(id, by), new Date())),
  );
}
