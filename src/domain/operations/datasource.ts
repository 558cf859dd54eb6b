import type { ChunkKind } from "../../http/dify/wire/chunks/chunks.ts";
import { CREDENTIALS, PROVIDER } from "../../http/dify/wire/operations/wire-fields.ts";
import {
  field,
  type JsonMap,
  map,
  needed,
  optionalText,
  type Shape,
  struct,
  text,
  whole,
} from "../../http/dify/wire/shape.ts";
import { bag, credentials, name, type Operation, operation } from "./operation.ts";

const NAMED_FIELDS = { ...CREDENTIALS, ...PROVIDER, datasource: needed(text) };

const WITH_PARAMETERS = struct({ ...NAMED_FIELDS, datasource_parameters: needed(map) });

export const DATASOURCE_OPERATIONS: readonly Operation[] = [
  operation(
    {
      ...{ type: "datasource", action: "validate_datasource_credentials", kinds: ["datasource"] },
      summary: "Checks a datasource's credentials.",
    },
    {
      fields: { provider: name, credentials },
      defaults: { credentials: {} },
      dispatch: {
        path: "datasource/validate_credentials",
        data: struct({ ...CREDENTIALS, ...PROVIDER }),
        chunk: "verdict",
      },
    },
  ),
  datasource("invoke_website_datasource_get_crawl", "Crawls a website.", {
    ...{ path: "get_website_crawl", field: "datasource_parameters" },
    ...{ data: WITH_PARAMETERS, chunk: "website_crawl" },
  }),
  datasource("invoke_online_document_datasource_get_pages", "Lists pages.", {
    ...{ path: "get_online_document_pages", field: "datasource_parameters" },
    ...{ data: WITH_PARAMETERS, chunk: "document_pages" },
  }),
  datasource("invoke_online_document_datasource_get_page_content", "Reads a page.", {
    ...{ path: "get_online_document_page_content", field: "page" },
    data: struct({ ...NAMED_FIELDS, page: needed(map) }),
    chunk: "message",
  }),
  datasource("invoke_online_drive_browse_files", "Lists files of a drive.", {
    ...{ path: "online_drive_browse_files", field: "request" },
    data: struct({
      ...NAMED_FIELDS,
      request: field(
        struct({
          bucket: field(optionalText),
          prefix: field(text),
          max_keys: needed(whole),
          next_page_parameters: field(map),
        }),
      ),
    }),
    chunk: "drive_files",
  }),
  datasource("invoke_online_drive_download_file", "Reads a file of a drive.", {
    ...{ path: "online_drive_download_file", field: "request" },
    data: struct({
      ...NAMED_FIELDS,
      request: field(struct({ bucket: field(optionalText), id: needed(text) })),
    }),
    chunk: "message",
  }),
];

interface DatasourceRow {
  readonly path: string;
  /** Holds what is asked for. */
  readonly field: string;
  readonly data: Shape<JsonMap>;
  readonly chunk: ChunkKind;
}

function datasource(action: string, summary: string, row: DatasourceRow): Operation {
  return operation(
    { type: "datasource", action, kinds: ["datasource"], summary },
    {
      fields: { provider: name, credentials, datasource: name, [row.field]: bag },
      defaults: { credentials: {} },
      item: { field: "datasource", code: "not_found" },
      dispatch: { path: `datasource/${row.path}`, data: row.data, chunk: row.chunk },
    },
  );
}
