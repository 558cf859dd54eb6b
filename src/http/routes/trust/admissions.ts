import { z } from "zod";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { listOf, PageQuery, pageRequest } from "../../schemas.ts";
import { AdmissionSchema, admissionJson } from "./json.ts";

export interface AdmissionParts {
  readonly store: Pick<Store, "trust">;
}

const Checksum = z
  .string()
  .regex(/^[0-9a-f]{64}$/, "64 hex digits, as after the @ of an identifier")
  .meta({ description: "64 hex digits, as after the @ of the package's identifier" });
const Body = z.strictObject({ checksum: Checksum, note: z.string().max(500).default("") });
const Answer = { "application/json": AdmissionSchema };

export function addListAdmissions(routes: Routes, { store }: AdmissionParts): void {
  routes.add(
    {
      name: "listAdmissions",
      method: "get",
      path: "/v1/trust/admissions",
      tag: "trust",
      summary: "Lists packages that are admitted without a signature, by digest, newest first.",
      access: { opens: "any", scope: "read" },
      query: PageQuery,
      answers: { 200: { description: "A page", content: { "application/json": listOf(AdmissionSchema) } } },
      faults: ["invalid_input"],
    },
    async ({ query }) => {
      const page = await store.trust.admissions(pageRequest(query));
      return Response.json({ items: page.items.map(admissionJson), next_cursor: page.nextCursor ?? null });
    },
  );
}

export function addAdmit(routes: Routes, { store }: AdmissionParts): void {
  routes.add(
    {
      name: "admitPackage",
      method: "post",
      path: "/v1/trust/admissions",
      tag: "trust",
      summary:
        "Admits one package without a signature, whatever the policy. Repeating it changes nothing and answers 200.",
      access: { opens: "operator", scope: "trust:write" },
      body: Body,
      answers: {
        200: { description: "Already admitted", content: Answer },
        201: { description: "Admitted", content: Answer },
      },
      faults: ["invalid_input", "invalid_json", "unsupported_media_type"],
    },
    async ({ body, by }) => {
      const { created, admission } = await store.trust.admit(body, by);
      return Response.json(admissionJson(admission), {
        status: created ? 201 : 200,
        headers: { location: `/v1/trust/admissions/${admission.checksum}` },
      });
    },
  );
}

export function addRemoveAdmission(routes: Routes, { store }: AdmissionParts): void {
  routes.add(
    {
      name: "removeAdmission",
      method: "delete",
      path: "/v1/trust/admissions/{checksum}",
      tag: "trust",
      summary: "Removes an admission. Installed plugins stay.",
      access: { opens: "operator", scope: "trust:write" },
      params: z.object({ checksum: Checksum }),
      answers: { 200: { description: "The admission", content: Answer } },
      faults: ["invalid_input", "not_found"],
    },
    async ({ params: { checksum }, by }) =>
      Response.json(admissionJson(await store.trust.removeAdmission(checksum, by))),
  );
}
