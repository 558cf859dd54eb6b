import { z } from "zod";
import type { Keyring } from "../../../keys/keyring.ts";
import type { Routes } from "../../route.ts";
import { KeySchema, keyJson } from "../../schemas.ts";

export function addRevokeKey(routes: Routes, { keyring }: { keyring: Pick<Keyring, "revoke"> }): void {
  routes.add(
    {
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
