/** A client of dify-plugin-daemon's API, as a platform uses it. Every wait has a timeout. */
import { request } from "node:http";
import { setTimeout as delay } from "node:timers/promises";

const INSTALL_MS_MAX = 180_000;
/** Enough of an answer's end for a short last event. */
const TAIL_MAX = 2_000;

export interface Door {
  readonly url: string;
  readonly key: string;
}

export interface Call {
  readonly tenant: string;
  /** `author/name`; the provider has the same name. */
  readonly plugin: string;
  readonly tool: string;
  readonly parameters: Readonly<Record<string, unknown>>;
}

export interface Answer {
  /** Status 200, and no error event. */
  readonly ok: boolean;
  /** The end of its text, or why there was no answer. */
  readonly said: string;
}

/** One call of a tool on its own connection. Every failure is an answer, too. */
export function callTool({ url, key }: Door, call: Call, timeoutMs: number): Promise<Answer> {
  const { promise, resolve } = Promise.withResolvers<Answer>();
  const sent = request(
    `${url}/plugin/${call.tenant}/dispatch/tool/invoke`,
    {
      method: "POST",
      agent: false,
      headers: { "X-Api-Key": key, "X-Plugin-ID": call.plugin, "Content-Type": "application/json" },
    },
    (response) => {
      let tail = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        tail = (tail + part).slice(-TAIL_MAX);
      });
      response.once("end", () => {
        const ok = response.statusCode === 200 && !/"code":-\d/.test(tail);
        resolve({ ok, said: ok ? tail : `${response.statusCode} ${tail}` });
      });
      response.once("error", (error) => resolve({ ok: false, said: String(error) }));
    },
  );
  const timer = setTimeout(() => {
    resolve({ ok: false, said: `no end within ${timeoutMs} ms` });
    sent.destroy();
  }, timeoutMs);
  sent.once("error", (error) => resolve({ ok: false, said: String(error) }));
  sent.end(
    JSON.stringify({
      user_id: "u",
      data: {
        provider: call.plugin.slice(call.plugin.indexOf("/") + 1),
        tool: call.tool,
        credentials: {},
        tool_parameters: call.parameters,
      },
    }),
  );
  return promise.finally(() => clearTimeout(timer));
}

/** Uploads the package and installs it for the tenant; throws where the install fails. */
export async function install(door: Door, tenant: string, file: Uint8Array): Promise<void> {
  const form = new FormData();
  form.set("dify_pkg", new Blob([new Uint8Array(file)]), "plugin.difypkg");
  const { unique_identifier } = await manage(door, tenant, "install/upload/package", form);
  const { all_installed, task_id } = await manage(door, tenant, "install/identifiers", {
    plugin_unique_identifiers: [unique_identifier],
    source: "package",
    metas: [{}],
  });
  const until = performance.now() + INSTALL_MS_MAX;
  for (let status: unknown = all_installed ? "success" : "running"; status !== "success"; ) {
    if (performance.now() > until) throw new Error(`no install within ${INSTALL_MS_MAX} ms`);
    await delay(100);
    const task = await manage(door, tenant, `install/tasks/${task_id}`);
    ({ status } = task);
    if (status === "failed") throw new Error(`the install failed: ${JSON.stringify(task)}`);
  }
}

/** Everything that the tenant has. */
export async function uninstallAll(door: Door, tenant: string): Promise<void> {
  const { list } = await manage(door, tenant, "list?page=1&page_size=256");
  for (const { installation_id } of list as { installation_id: string }[])
    await manage(door, tenant, "uninstall", { plugin_installation_id: installation_id });
}

/** `data` of the answer; throws where it is an error. A POST where a body is given. */
async function manage(
  { url, key }: Door,
  tenant: string,
  path: string,
  body?: FormData | object,
): Promise<Readonly<Record<string, unknown>>> {
  const isForm = body instanceof FormData;
  const answer = await fetch(`${url}/plugin/${tenant}/management/${path}`, {
    method: body === undefined ? "GET" : "POST",
    headers: { "X-Api-Key": key, ...(!isForm && { "Content-Type": "application/json" }) },
    signal: AbortSignal.timeout(INSTALL_MS_MAX),
    ...(body !== undefined && { body: isForm ? body : JSON.stringify(body) }),
  });
  const text = await answer.text();
  const { code, data } = JSON.parse(text);
  if (code !== 0) throw new Error(`${path}: ${answer.status} ${text}`);
  return data;
}
