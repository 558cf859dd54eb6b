import { field, map, needed, optionalText, struct, text, whole } from "../shape.ts";
import { CREDENTIALS, type Dispatches, PROVIDER } from "./dispatch.ts";

const NAMED_FIELDS = { ...CREDENTIALS, ...PROVIDER, datasource: needed(text) };

const WITH_PARAMETERS = struct({ ...NAMED_FIELDS, datasource_parameters: needed(map) });

export const DATASOURCE_DISPATCH: Dispatches = {
  validate_datasource_credentials: {
    path: "datasource/validate_credentials",
    data: struct({ ...CREDENTIALS, ...PROVIDER }),
    chunk: "verdict",
  },
  invoke_website_datasource_get_crawl: {
    path: "datasource/get_website_crawl",
    data: WITH_PARAMETERS,
    chunk: "website_crawl",
  },
  invoke_online_document_datasource_get_pages: {
    path: "datasource/get_online_document_pages",
    data: WITH_PARAMETERS,
    chunk: "document_pages",
  },
  invoke_online_document_datasource_get_page_content: {
    path: "datasource/get_online_document_page_content",
    data: struct({ ...NAMED_FIELDS, page: needed(map) }),
    chunk: "message",
  },
  invoke_online_drive_browse_files: {
    path: "datasource/online_drive_browse_files",
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
  },
  invoke_online_drive_download_file: {
    path: "datasource/online_drive_download_file",
    data: struct({
      ...NAMED_FIELDS,
      request: field(struct({ bucket: field(optionalText), id: needed(text) })),
    }),
    chunk: "message",
  },
};
