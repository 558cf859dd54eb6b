import { z } from "zod";
import type { PluginFile } from "../../../domain/plugin-files.ts";
import type { PluginFiles } from "../../../installation/plugin-files.ts";
import type { Store } from "../../../store/store.ts";
import { checkContentLength, checkContentType, readBytes } from "../../middleware/body.ts";
import type { Routes } from "../../route.ts";
import { getInstallation, InstallationParams } from "./parts.ts";

const FileSchema = z.strictObject({
  name: z.string(),
  bytes: z.int(),
  secret: z.boolean(),
  sha256: z.string().nullable().meta({ description: "Of the content; null for a secret" }),
  changed_at: z.iso.datetime(),
});
const Params = InstallationParams.extend({ name: z.string() });
const Query = z.strictObject({
  secret: z
    .enum(["true", "false"])
    .default("false")
    .meta({ description: "`true`: the content is stored encrypted" }),
});
const TYPE = "application/octet-stream";
const path = "/v1/tenants/{tenant}/installations/{id}/files";

/** Small files of an installation's plugin. New containers follow within a few seconds, without a task. */
export function addPluginFiles(
  routes: Routes,
  { store, pluginFiles: files }: { store: Pick<Store, "installations">; pluginFiles: PluginFiles },
): void {
  routes.add(
    {
      name: "listFiles",
      method: "get",
      path,
      tag: "installations",
      summary: "Lists the plugin's files, without their contents.",
      access: { opens: "tenant", scope: "read" },
      params: InstallationParams,
      answers: {
        200: {
          description: "The files",
          content: { "application/json": z.strictObject({ files: z.array(FileSchema) }) },
        },
      },
      faults: ["installation_not_found"],
    },
    async ({ params }) => {
      const { id } = await getInstallation(store, params);
      return Response.json({ files: (await files.list(id)).map(fileJson) });
    },
  );
  routes.add(
    {
      name: "setFile",
      method: "put",
      path: `${path}/{name}`,
      tag: "installations",
      summary: "Gives the plugin a file, or replaces one, and then its containers: the content is the body.",
      access: { opens: "tenant", scope: "installations:write" },
      params: Params,
      query: Query,
      rawBody: TYPE,
      answers: { 200: { description: "The file", content: { "application/json": FileSchema } } },
      faults: ["installation_not_found", "conflict", "payload_too_large", "unsupported_media_type"],
    },
    async ({ params, query, header, request, by }) => {
      const installation = await getInstallation(store, params);
      checkContentType(header("content-type"), [TYPE]);
      const { fileBytesMax } = files.limits;
      checkContentLength(header("content-length"), fileBytesMax);
      const content = await readBytes(request.body, fileBytesMax);
      const secret = query.secret === "true";
      return Response.json(
        fileJson(await files.put({ installation, name: params.name, content, secret, by })),
      );
    },
  );
  routes.add(
    {
      name: "removeFile",
      method: "delete",
      path: `${path}/{name}`,
      tag: "installations",
      summary: "Removes a file of the plugin, and then replaces its containers.",
      access: { opens: "tenant", scope: "installations:write" },
      params: Params,
      answers: { 204: { description: "Removed" } },
      faults: ["installation_not_found", "not_found"],
    },
    async ({ params, by }) => {
      await files.remove({ installation: await getInstallation(store, params), name: params.name, by });
      return new Response(null, { status: 204 });
    },
  );
}

function fileJson({ name, bytes, sha256, changedAt }: PluginFile) {
  return {
    name,
    bytes,
    secret: sha256 === undefined,
    sha256: sha256 ?? null,
    changed_at: changedAt.toISOString(),
  };
}
