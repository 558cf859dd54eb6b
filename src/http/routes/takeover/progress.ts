import { z } from "@hono/zod-openapi";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";

const count = (description: string) => z.int().min(0).meta({ description });

const TakeoverSchema = z
  .object({
    total: count("Installations of an earlier daemon that still exist"),
    unread: count("Their package has not been read yet"),
    waiting: count("Waiting for their turn; a call to one of them makes it next"),
    building: count("Being built"),
    ready: count("Were ready at least once"),
    failed: count("Failed; the installation's `cause` says why"),
  })
  .openapi("Takeover");

export function addTakeover(routes: Routes, { store }: { store: Pick<Store, "takeover"> }): void {
  routes.add(
    {
      name: "getTakeover",
      method: "get",
      path: "/v1/takeover",
      tag: "takeover",
      summary: "Reports the progress of the takeover from dify-plugin-daemon.",
      access: { opens: "operator", scope: "read" },
      answers: {
        200: {
          description: "Numbers of installations; all 0 where there was no daemon",
          content: { "application/json": TakeoverSchema },
        },
      },
      faults: [],
    },
    async () => Response.json(await store.takeover.progress()),
  );
}
