import { z } from "@hono/zod-openapi";
import type { AuditEvent } from "../../../domain/audit.ts";
import { InstallationId, TenantId } from "../../../domain/ids.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest, TenantParams } from "../../schemas.ts";

const Query = PageQuery.extend({
  installation_id: z.string().pipe(InstallationId).optional(),
  kind: z
    .string()
    .regex(/^[a-z_]{1,30}\.[a-z_]{1,30}$/, "noun.verb, as installation.install")
    .optional(),
});
const OperatorQuery = Query.extend({ tenant_id: TenantId.optional() });

const AuditEventSchema = z
  .object({
    id: z.string(),
    at: z.string().meta({ format: "date-time" }),
    kind: z.string(),
    key_id: z.string().meta({
      description: "Id of the key; `admin` for the admin key, `berth` for what Berth did on its own",
    }),
    key_name: z.string(),
    request_id: z.string(),
    tenant_id: z.string().nullable(),
    installation_id: z.string().nullable(),
    task_id: z.string().nullable(),
    subject: z.string(),
    result: z.string().meta({
      description: "`done`; for a task `accepted`, then its end; `refused` for what a plugin tried",
    }),
  })
  .openapi("AuditEvent");
const answers = { 200: { description: "A page", content: { "application/json": listOf(AuditEventSchema) } } };

export function addListEvents(routes: Routes, { store }: { store: Pick<Store, "events"> }): void {
  routes.add(
    {
      name: "listEvents",
      method: "get",
      path: "/v1/events",
      tag: "events",
      summary:
        "Lists audit events of all tenants, newest first: who did what, when, to which tenant and installation.",
      access: { opens: "operator", scope: "read" },
      query: OperatorQuery,
      answers,
      faults: ["invalid_input"],
    },
    async ({ query }) => {
      const { tenant_id: tenantId } = query;
      const filter = { ...filterOf(query), ...(tenantId !== undefined && { tenantId }) };
      return pageResponse(await store.events.list(filter, pageRequest(query)));
    },
  );
}

export function addListTenantEvents(
  routes: Routes,
  { store }: { store: Pick<Store, "events" | "tenants"> },
): void {
  routes.add(
    {
      name: "listTenantEvents",
      method: "get",
      path: "/v1/tenants/{tenant}/events",
      tag: "events",
      summary: "Lists a tenant's audit events, newest first.",
      access: { opens: "tenant", scope: "read" },
      params: TenantParams,
      query: Query,
      answers,
    },
    async ({ params: { tenant: tenantId }, query, principal }) => {
      // a tenant that was removed and created again does not see the events of the earlier one
      const tenant = principal.tenantId === undefined ? undefined : await store.tenants.find(tenantId);
      const since = tenant === undefined ? {} : { since: tenant.createdAt };
      return pageResponse(
        await store.events.list({ ...filterOf(query), ...since, tenantId }, pageRequest(query)),
      );
    },
  );
}

function filterOf({ installation_id: installationId, kind }: z.output<typeof Query>) {
  return {
    ...(installationId !== undefined && { installationId }),
    ...(kind !== undefined && { kind }),
  };
}

function pageResponse(page: Awaited<ReturnType<Store["events"]["list"]>>): Response {
  return Response.json({ items: page.items.map(eventJson), next_cursor: page.nextCursor ?? null });
}

function eventJson(event: AuditEvent): z.input<typeof AuditEventSchema> {
  return {
    id: event.id,
    at: event.at.toISOString(),
    kind: event.kind,
    key_id: event.actor.keyId,
    key_name: event.actor.keyName,
    request_id: event.actor.requestId,
    tenant_id: event.tenantId ?? null,
    installation_id: event.installationId ?? null,
    task_id: event.taskId ?? null,
    subject: event.subject,
    result: event.result,
  };
}
