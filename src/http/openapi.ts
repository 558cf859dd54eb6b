/**
 * The OpenAPI document: each declared route, in a form from which generators make clients with good names. Redocly's
 * recommended rules find nothing to warn of in it.
 */
import { type OpenAPIHono, z } from "@hono/zod-openapi";
import { FAULTS, type FaultCode } from "../domain/fault.ts";
import { OPERATIONS } from "../domain/operations/operations.ts";
import type { HttpEnv } from "./env.ts";
import type { Access } from "./middleware/authenticate.ts";
import type { RouteSpec } from "./route-spec.ts";
import { FaultBodySchema } from "./schemas.ts";

type App = OpenAPIHono<HttpEnv>;
type Spec = RouteSpec<z.ZodType, z.ZodType, z.ZodType>;

const RequestId = z.string().meta({
  description: "The id under which the log has the request: that of its `X-Request-Id`, or a new one",
});
const Location = z.string().meta({ description: "Path of the task" });

/** What each tag's operations are for, in the order of the document. */
const TAGS: Readonly<Record<string, string>> = {
  packages: "Archives of plugins: upload, read, export, import",
  bundles: "Archives that name several plugins",
  installations: "Plugins of a tenant: install, change, remove, read their logs",
  providers: "What the plugins of a tenant provide",
  tasks: "Progress of accepted work",
  endpoints: "URLs at which plugins answer HTTP requests of others",
  credentials: "What providers need to work for a tenant, kept for calls and calls back",
  keys: "Keys of this API",
  tenants: "Tenants, their settings, quotas and usage",
  events: "Audit events: who did what, when",
  disk: "Disk use, and removal of unreferenced data",
  doctor: "Which limits of plugins hold on the engine",
  takeover: "Progress of the takeover from dify-plugin-daemon",
  trust: "Signatures of packages: policies, keys, admissions",
  health: "For load balancers and probes",
};

export function documentRoute(registry: App["openAPIRegistry"], spec: Spec): void {
  const body = documentedBody(spec);
  const headers = z.object({ "X-Request-Id": z.string().max(200).optional(), ...spec.headers?.shape });
  registry.registerPath({
    operationId: spec.name,
    method: spec.method,
    path: spec.path,
    tags: [spec.tag],
    summary: spec.summary,
    description: accessText(spec.access),
    security: spec.access === "public" ? [] : [{ key: [] }],
    request: {
      ...(spec.params instanceof z.ZodObject && { params: spec.params }),
      ...(spec.query instanceof z.ZodObject && { query: spec.query }),
      headers,
      ...(body !== undefined && { body: { required: true, content: body } }),
    },
    responses: documentedAnswers(spec),
  });
}

export function openApiDocument(app: App, version: string): object {
  app.openAPIRegistry.registerComponent("securitySchemes", "key", {
    type: "http",
    scheme: "bearer",
    description: "The admin key, or a key created over /v1/keys",
  });
  return app.getOpenAPI31Document({
    openapi: "3.1.0",
    servers: [{ url: "/" }],
    tags: [...Object.entries(TAGS), ...invokeTags()].map(([name, description]) => ({ name, description })),
    info: {
      title: "Berth",
      version,
      license: { name: "Apache-2.0", url: "https://www.apache.org/licenses/LICENSE-2.0" },
      description:
        "An error about input names the field, its value and what is accepted. `/v1` only gets additions.",
    },
  });
}

function invokeTags(): readonly (readonly [name: string, description: string])[] {
  const types = new Set(OPERATIONS.map(({ type }) => type));
  return [...types].map((type) => [invokeTag(type), `Calls of plugins: operations of the type \`${type}\``]);
}

/** Of the operations of one type. */
export function invokeTag(type: string): string {
  return `invoke ${type}`;
}

function documentedBody({ body, rawBody }: Spec) {
  if (rawBody !== undefined) return { [rawBody]: { schema: z.string().meta({ format: "binary" }) } };
  return body === undefined ? undefined : { "application/json": { schema: body } };
}

function documentedAnswers(spec: Spec) {
  const answers: Record<
    string,
    { description: string; headers: z.ZodObject; content?: Record<string, { schema: z.ZodType }> }
  > = {};
  const headers = z.object({ "X-Request-Id": RequestId });
  for (const [status, { description, content }] of Object.entries(spec.answers)) {
    answers[status] = {
      description,
      headers: status === "202" ? headers.extend({ Location }) : headers,
      ...(content && {
        content: Object.fromEntries(Object.entries(content).map(([type, schema]) => [type, { schema }])),
      }),
    };
  }
  for (const code of [...accessFaults(spec), ...(spec.faults ?? [])]) {
    const { status } = FAULTS[code];
    const known = answers[status]?.description;
    answers[status] = {
      description: known === undefined ? `\`${code}\`` : `${known}, \`${code}\``,
      headers,
      content: { "application/json": { schema: FaultBodySchema } },
    };
  }
  return answers;
}

function accessFaults({ access, path }: { access: Access; path: string }): readonly FaultCode[] {
  if (access === "public") return ["malformed_request"];
  return path.includes("{tenant}")
    ? ["invalid_input", "unauthorized", "forbidden"]
    : ["unauthorized", "forbidden"];
}

/** In words, because the document's security schemes cannot say whose key it must be. */
function accessText(access: Access): string {
  if (access === "public") return "Needs no key.";
  if (access === "admin") return "Needs the admin key.";
  const whose = {
    any: "any key",
    tenant: "a key of the tenant, or an operator's",
    operator: "an operator's key",
  };
  return `Needs ${whose[access.opens]}, with the scope \`${access.scope}\`.`;
}
