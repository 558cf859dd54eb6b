import { z } from "zod";
import type { Routes } from "../../route.ts";

export function addHealth(routes: Routes): void {
  routes.document({
    method: "get",
    path: "/health",
    tag: "health",
    summary: "The process answers.",
    access: "public",
    answers: {
      200: { description: "It does", content: { "application/json": z.object({ status: z.literal("ok") }) } },
    },
  });
  // not logged: it is asked every few seconds for ever
  routes.on("get", "/health", () => Response.json({ status: "ok" }));
}
