import { z } from "zod";
import type { Keyring } from "../../../keys/keyring.ts";
import type { Routes } from "../../route.ts";
import { KeySchema, keyJson } from "../../schemas.ts";

export function addListKeys(routes: Routes, { keyring }: { keyring: Pick<Keyring, "list"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/keys",
      tag: "keys",
      summary: "Lists keys, revoked ones too; never the keys themselves.",
      access: "operator",
      answers: {
        200: { description: "All", content: { "application/json": z.object({ items: z.array(KeySchema) }) } },
      },
    },
    async () => Response.json({ items: (await keyring.list()).map(keyJson) }),
  );
}
