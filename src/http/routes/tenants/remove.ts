import { z } from "zod";
import type { Tenants } from "../../../installation/tenants.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import type { Keyring } from "../../../keys/keyring.ts";
import type { Routes } from "../../route.ts";
import { TaskSchema, TenantParams, taskJson } from "../../schemas.ts";

const Answer = z.object({ task: TaskSchema, created: z.boolean() });

export function addRemoveTenant(
  routes: Routes,
  {
    tenants,
    keyring,
    invoker,
  }: {
    tenants: Pick<Tenants, "remove">;
    keyring: Pick<Keyring, "changed">;
    invoker: Pick<Invoker, "refresh">;
  },
): void {
  routes.add(
    {
      name: "removeTenant",
      method: "delete",
      path: "/v1/tenants/{tenant}",
      tag: "tenants",
      summary:
        "Accepts the removal of a tenant with everything it has, and refuses its keys from now on. Repeating it returns the same task.",
      access: "admin",
      params: TenantParams,
      answers: { 202: { description: "Accepted", content: { "application/json": Answer } } },
      faults: ["not_found"],
    },
    async ({ params: { tenant }, by }) => {
      const { task, created } = await tenants.remove(tenant, by);
      // polling would see both too, but later
      await Promise.all([keyring.changed(), invoker.refresh()]);
      return Response.json(
        { task: taskJson(task), created },
        { status: 202, headers: { location: `/v1/tenants/${tenant}/tasks/${task.id}` } },
      );
    },
  );
}
