import { bag, credentials, name, type Operation, operation } from "./operation.ts";

export const DATASOURCE_OPERATIONS: readonly Operation[] = [
  operation(
    {
      type: "datasource",
      action: "validate_datasource_credentials",
      kinds: ["datasource"],
      summary: "Checks a datasource's credentials.",
    },
    {
      fields: { provider: name, credentials },
      defaults: { credentials: {} },
    },
  ),
  datasource("invoke_website_datasource_get_crawl", "Crawls a website.", "datasource_parameters"),
  datasource("invoke_online_document_datasource_get_pages", "Lists pages.", "datasource_parameters"),
  datasource("invoke_online_document_datasource_get_page_content", "Reads a page.", "page"),
  datasource("invoke_online_drive_browse_files", "Lists files of a drive.", "request"),
  datasource("invoke_online_drive_download_file", "Reads a file of a drive.", "request"),
];

/** `field` holds what is asked for. */
function datasource(action: string, summary: string, field: string): Operation {
  return operation(
    { type: "datasource", action, kinds: ["datasource"], summary },
    {
      fields: { provider: name, credentials, datasource: name, [field]: bag },
      defaults: { credentials: {} },
      item: { field: "datasource", code: "not_found" },
    },
  );
}
