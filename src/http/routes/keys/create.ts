import { z } from "zod";
import { TenantId } from "../../../domain/ids.ts";
import type { Keyring } from "../../../keys/keyring.ts";
import type { Routes } from "../../route.ts";
import { KeySchema, keyJson } from "../../schemas.ts";

const Body = z.strictObject({
  name: z.string().min(1).max(100),
  tenant_id: TenantId.optional().meta({ description: "Absent: an operator's key" }),
});

export function addCreateKey(routes: Routes, { keyring }: { keyring: Pick<Keyring, "create"> }): void {
  routes.add(
    {
      method: "post",
      path: "/v1/keys",
      tag: "keys",
      summary: "Makes a key. The answer shows it this once.",
      access: "operator",
      body: Body,
      answers: {
        201: {
          description: "The key",
          content: { "application/json": KeySchema.extend({ key: z.string() }) },
        },
      },
      faults: ["invalid_input", "invalid_json", "unsupported_media_type"],
    },
    async ({ body: { name, tenant_id: tenantId } }) => {
      const { record, key } = await keyring.create({ name, tenantId });
      return Response.json(
        { ...keyJson(record), key },
        { status: 201, headers: { location: `/v1/keys/${record.id}`, "cache-control": "no-store" } },
      );
    },
  );
}
