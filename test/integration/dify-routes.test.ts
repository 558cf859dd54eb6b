/** Every route that clients of dify-plugin-daemon know, said a second time: one that is missing here or there fails. */
import { describe, expect, test } from "vitest";
import { DIFY_KEY, openDoor, TENANT } from "../harness/door.ts";

const management = (...rows: readonly string[]) =>
  rows.map((row) => row.replace(" ", " /plugin/:/management/"));

const DISPATCH = [
  "tool/invoke",
  "tool/validate_credentials",
  "tool/get_runtime_parameters",
  "agent_strategy/invoke",
  "llm/invoke",
  "llm/num_tokens",
  "text_embedding/invoke",
  "multimodal_embedding/invoke",
  "text_embedding/num_tokens",
  "rerank/invoke",
  "multimodal_rerank/invoke",
  "tts/invoke",
  "tts/model/voices",
  "speech2text/invoke",
  "moderation/invoke",
  "model/validate_provider_credentials",
  "model/validate_model_credentials",
  "model/schema",
  "oauth/get_authorization_url",
  "oauth/get_credentials",
  "oauth/refresh_credentials",
  "dynamic_select/fetch_parameter_options",
  "datasource/validate_credentials",
  "datasource/get_website_crawl",
  "datasource/get_online_document_pages",
  "datasource/get_online_document_page_content",
  "datasource/online_drive_browse_files",
  "datasource/online_drive_download_file",
  "trigger/invoke_event",
  "trigger/validate_credentials",
  "trigger/dispatch_event",
  "trigger/subscribe",
  "trigger/unsubscribe",
  "trigger/refresh",
] as const;
const POLLED = ["model/polling/start", "model/polling/check"] as const;

const ROUTES: readonly string[] = [
  "GET /health/check",
  "GET /metrics/",
  "POST /plugin/:/debugging/key",
  ...management(
    "POST install/upload/package",
    "POST install/upload/bundle",
    "POST install/identifiers",
    "POST install/upgrade",
    "GET install/tasks",
    "GET install/tasks/:",
    "POST install/tasks/delete_all",
    "POST install/tasks/:/delete",
    "POST install/tasks/:/delete/*",
    "GET decode/from_identifier",
    "GET fetch/manifest",
    "GET fetch/identifier",
    "GET fetch/readme",
    "POST uninstall",
    "GET list",
    "GET installation/ids",
    "GET :/list",
    "POST installation/fetch/batch",
    "POST installation/missing",
    "GET models/bindings",
    "GET models",
    "GET tools",
    "GET triggers",
    "GET agent_strategies",
    "GET datasources",
    "GET tool",
    "GET trigger",
    "GET agent_strategy",
    "GET datasource",
    "POST tools/check_existence",
  ),
  ...["setup", "remove", "update", "enable", "disable"].map((verb) => `POST /plugin/:/endpoint/${verb}`),
  "GET /plugin/:/endpoint/list",
  "GET /plugin/:/endpoint/list/plugin",
  "GET /plugin/:/asset/:",
  "GET /plugin/:/extract-asset/",
  ...[...DISPATCH, ...POLLED].map((path) => `POST /plugin/:/dispatch/${path}`),
  ...DISPATCH.map((path) => `POST /v2/invoke/dispatch/${path}`),
  "GET /v2/invoke/extract",
  "POST /admin/plugin/serverless/reinstall",
  "POST /admin/plugin/serverless/switch-endpoint",
  "POST /backwards-invocation/transaction",
  ...["HEAD", "POST", "GET", "PUT", "DELETE", "OPTIONS"].map((method) => `${method} /e/:/*`),
];

/** Whatever a parameter is called, and however one that takes slashes is written. */
function plain({ method, path }: { readonly method: string; readonly path: string }): string {
  const unnamed = path.replaceAll(/:\w+\{[^}]*\}/g, "*").replaceAll(/:\w+/g, ":");
  return `${method.toUpperCase()} ${unnamed}`;
}

const REFUSED = {
  status: 401,
  text: '{"code":-401,"message":"{\\"message\\":\\"unauthorized\\",\\"error_type\\":\\"PluginDaemonUnauthorizedError\\",\\"args\\":null}","data":null}',
};

describe("the routes of the daemon", () => {
  test("none is missing", async () => {
    await using door = await openDoor();
    const served = new Set(door.app.dify.table.map(plain));
    expect(ROUTES.filter((route) => !served.has(route))).toEqual([]);
  });

  test("none is there that it has not, but for profiles, which are refused by name", async () => {
    await using door = await openDoor();
    const known = new Set([...ROUTES, "GET /metrics", "GET /debug/pprof/*"]);
    expect(door.app.dify.table.map(plain).filter((route) => !known.has(route))).toEqual([]);
  });

  test("all that act for a tenant want the platform's key before they look at anything", async () => {
    await using door = await openDoor();
    const { url } = await door.listen();
    const guarded = door.app.dify.table.filter(({ path }) => /^\/(plugin|v2)\//.test(path));
    expect(guarded.length).toBeGreaterThan(90);
    for (const { method, path } of guarded) {
      const to = path.replace(":tenant_id", TENANT).replaceAll(/:\w+(\{[^}]*\})?|\*/g, "x");
      for (const key of [undefined, "wrong", `${DIFY_KEY}x`]) {
        const headers = key === undefined ? {} : { "x-api-key": key };
        const answer = await fetch(new URL(to, url), { method, headers });
        expect({ path, status: answer.status, text: await answer.text() }).toEqual({ path, ...REFUSED });
      }
    }
  });
});
