import { z } from "@hono/zod-openapi";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";

const count = (description: string) => z.int().min(0).meta({ description });

const TakeoverSchema = z
  .object({
    total: count("Installations that an earlier daemon had and that are still there"),
    unread: count("Their package has not been looked at yet"),
    waiting: count("Their turn has not come; a call to one of them makes it the next"),
    building: count("At work"),
    ready: count("Ready once, whatever became of them since"),
    failed: count("Their `cause` says what is missing"),
  })
  .openapi("Takeover");

export function addTakeover(routes: Routes, { store }: { store: Pick<Store, "takeover"> }): void {
  routes.add(
    {
      method: "get",
      path: "/v1/takeover",
      tag: "takeover",
      summary: "How far what dify-plugin-daemon had installed is ready here.",
      access: { opens: "operator", scope: "read" },
      answers: {
        200: {
          description: "Numbers of installations; all 0 where there was none",
          content: { "application/json": TakeoverSchema },
        },
      },
      faults: [],
    },
    async () => Response.json(await store.takeover.progress()),
  );
}
