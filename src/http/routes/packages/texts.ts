/** Texts of a package for people: READMEs by language, and the privacy notice. */
import { z } from "@hono/zod-openapi";
import { Fault } from "../../../domain/fault.ts";
import type { PackageTexts } from "../../../installation/packages/package-texts.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { visiblePackage } from "./visible.ts";

export interface PackageTextRouteDeps {
  readonly store: Pick<Store, "packages">;
  readonly texts: PackageTexts;
}

const Params = z.object({ identifier: z.string().min(1).meta({ example: "author/name:0.0.1@<checksum>" }) });
const LANGUAGE = /^[a-z]{2}_[A-Za-z]{2,7}$/;
const Query = z.strictObject({
  language: z.string().regex(LANGUAGE).default("en_US").meta({ example: "zh_Hans" }),
});

const ReadmeSchema = z
  .object({
    identifier: z.string(),
    language: z.string().meta({ description: "The requested language; where it is missing en_US, else any" }),
    content: z.string().meta({ description: "Markdown, written by the plugin's author" }),
    languages: z.array(z.string()),
  })
  .openapi("Readme");

const PrivacySchema = z
  .object({
    identifier: z.string(),
    file: z.string().nullable(),
    content: z.string().nullable(),
    url: z.string().nullable(),
  })
  .openapi("Privacy");

export function addPackageReadme(routes: Routes, { store, texts }: PackageTextRouteDeps): void {
  routes.add(
    {
      name: "getPackageReadme",
      method: "get",
      path: "/v1/packages/{identifier}/readme",
      pattern: "/v1/packages/:identifier{[^/]+/[^/]+}/readme",
      tag: "packages",
      summary: "Returns a package's README, in the requested language where it exists.",
      access: { opens: "any", scope: "read" },
      params: Params,
      query: Query,
      answers: { 200: { description: "The README", content: { "application/json": ReadmeSchema } } },
      faults: ["invalid_input", "package_not_found", "text_not_found"],
    },
    async ({ params: { identifier }, query: { language }, principal: { tenantId }, signal }) => {
      const stored = await visiblePackage(store, identifier, tenantId);
      const readme = await texts.readme(stored, language, signal);
      if (readme === undefined) throw textNotFound(identifier, "README.md");
      return Response.json({ identifier, ...readme });
    },
  );
}

export function addPackagePrivacy(routes: Routes, { store, texts }: PackageTextRouteDeps): void {
  routes.add(
    {
      name: "getPackagePrivacy",
      method: "get",
      path: "/v1/packages/{identifier}/privacy",
      pattern: "/v1/packages/:identifier{[^/]+/[^/]+}/privacy",
      tag: "packages",
      summary: "Returns a package's privacy notice: the file that its manifest names, or the URL.",
      access: { opens: "any", scope: "read" },
      params: Params,
      answers: { 200: { description: "The notice", content: { "application/json": PrivacySchema } } },
      faults: ["package_not_found", "text_not_found"],
    },
    async ({ params: { identifier }, principal: { tenantId }, signal }) => {
      const stored = await visiblePackage(store, identifier, tenantId);
      const privacy = await texts.privacy(stored, signal);
      if (privacy === undefined) throw textNotFound(identifier, "PRIVACY.md");
      const { file, content, url } =
        privacy.type === "file"
          ? { file: privacy.path, content: privacy.content, url: null }
          : { file: null, content: null, url: privacy.url };
      return Response.json({ identifier, file, content, url });
    },
  );
}

export function textNotFound(identifier: string, file: string): Fault {
  return new Fault("text_not_found", `The package ${identifier} has no ${file}.`, {
    details: { field: "file", value: file, accepted: "a file of the package" },
  });
}
