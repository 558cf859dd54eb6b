/** A door whose secrets the platform keeps, with an installed plugin that has endpoints, and a client that is Dify. */
import { onTestFinished } from "vitest";
import { z } from "zod";
import { createPlatformSecrets } from "../../../src/endpoint/secret-settings/platform-secrets.ts";
import { createInnerApi } from "../../../src/platform/inner-api.ts";
import type { StoredPackage } from "../../../src/store/contracts/packages.ts";
import { openTlsContext } from "../../../src/util/tls-context.ts";
import { anInstallation } from "../builders/an-installation.ts";
import { testSecrets } from "../doubles/secrets.ts";
import { DIFY_KEY, TENANT } from "../samples/callers.ts";
import type { FakeInnerApi } from "../servers/inner-api.ts";
import { type Door, openDoor } from "./door.ts";

export const PLUGIN = "acme/hooks";
export const UID = `${PLUGIN}:1.0.0@${"cd".repeat(32)}`;
export const SETTINGS = [
  { name: "api_key", type: "secret-input", required: true, label: { en_US: "Key" }, options: null },
  { name: "mode", type: "select", required: false, options: [{ value: "fast", label: { en_US: "Fast" } }] },
];
export const ENDPOINTS = [{ path: "/hello", method: "POST", hidden: false }];

const Envelope = z.object({ code: z.number(), message: z.string(), data: z.unknown() });
const Inner = z.object({ message: z.string(), error_type: z.string(), args: z.null() });
const Listed = z.array(
  z.object({
    id: z.string(),
    hook_id: z.string(),
    name: z.string(),
    settings: z.record(z.string(), z.unknown()),
  }),
);

/** With `platform` false, a key of the tests seals the secrets. */
export async function openEndpointDoor(
  api: FakeInnerApi,
  { platform = true }: { readonly platform?: boolean } = {},
) {
  const innerApi = createInnerApi({
    url: api.url,
    key: "inner",
    trust: await openTlsContext({}),
    answerBytesMax: 100_000,
    itemBytesMax: 100_000,
    connectTimeoutMs: 5000,
    timeoutMs: 5000,
  });
  const secrets = platform ? createPlatformSecrets({ innerApi, berth: testSecrets }) : testSecrets;
  const door = await openDoor({ secrets });
  onTestFinished(() => door[Symbol.asyncDispose]());
  install(door, hooksPackage(door));
  return { door, ...clientOf(door) };
}

export function hooksPackage(
  door: Door,
  changes: { name?: string; declaration?: Record<string, unknown> } = {},
): StoredPackage {
  const [echo] = door.memory.packages;
  if (echo === undefined) throw new Error("the door has no package");
  const pluginId = `acme/${changes.name ?? "hooks"}`;
  const endpoint = { settings: SETTINGS, endpoints: ENDPOINTS };
  const resource = { memory: 1, permission: { endpoint: { enabled: true } } };
  return {
    ...echo,
    identifier: UID.replace(PLUGIN, pluginId),
    pluginId,
    author: "acme",
    name: pluginId.slice(5),
    declaration: { author: "acme", name: "hooks", endpoint, resource, ...changes.declaration },
    providers: [{ kind: "endpoint", name: "" }],
  };
}

export function install(door: Door, pkg: StoredPackage, tenantId = TENANT): string {
  const { identifier, pluginId } = pkg;
  door.memory.packages.push(pkg);
  const installation = anInstallation({ identifier, pluginId, tenantId });
  door.memory.installations.push(installation);
  return installation.id;
}

function clientOf(door: Door) {
  const headers = { "x-api-key": DIFY_KEY };
  const read = async (answer: Response) => {
    const { code, message, data } = Envelope.parse(await answer.json());
    if (code === 0) return { status: answer.status, data };
    const inner = Inner.parse(JSON.parse(message));
    return { status: answer.status, code, type: inner.error_type, message: inner.message };
  };
  const post = async (path: string, body: object, tenant: string = TENANT) =>
    read(await door.ask("POST", `/plugin/${tenant}/endpoint/${path}`, { key: "", headers, body }));
  const get = async (path: string, tenant: string = TENANT) =>
    read(await door.ask("GET", `/plugin/${tenant}/endpoint/${path}`, { key: "", headers }));
  const setup = (changes: object = {}) =>
    post("setup", {
      plugin_unique_identifier: UID,
      user_id: "u1",
      name: "first",
      settings: { api_key: "a-long-secret", mode: "fast" },
      ...changes,
    });
  const list = async (query = "list?page=1&page_size=100", tenant: string = TENANT) =>
    Listed.parse((await get(query, tenant)).data);
  const first = async () => {
    const [one] = await list();
    if (one === undefined) throw new Error("no endpoint is listed");
    return one;
  };
  return { post, get, setup, list, first };
}
