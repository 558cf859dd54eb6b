/** The platform's inner API as it is asked, and as it fails. */
import { once } from "node:events";
import { createServer } from "node:net";
import { expect, test } from "vitest";
import { EndpointId } from "../../src/domain/endpoint.ts";
import { isFault } from "../../src/domain/fault.ts";
import { createPlatformSecrets } from "../../src/endpoint/secret-settings/platform-secrets.ts";
import type { SettingsOwner } from "../../src/endpoint/secret-settings/secrets.ts";
import { createInnerApi } from "../../src/platform/inner-api.ts";
import { openTlsContext } from "../../src/util/tls-context.ts";
import { testSecrets } from "../harness/doubles/secrets.ts";
import { TENANT } from "../harness/samples/callers.ts";
import { type FakeInnerApi, useInnerApi } from "../harness/servers/inner-api.ts";

const never = new AbortController().signal;
const DECLARED = [
  { name: "key", type: "secret-input", required: true, label: { en_US: "Key" }, options: null },
  { name: "url", type: "text-input", required: false, label: { en_US: "URL" }, options: null },
];
const FIELDS = DECLARED.map(({ name, type, required: isRequired }) => ({
  name,
  type,
  isRequired,
  scope: undefined,
  options: [],
}));
const OWNER: SettingsOwner = {
  tenantId: TENANT,
  endpointId: EndpointId.parse("01890000-0000-7000-8000-000000000001"),
  userId: "someone",
  fields: FIELDS,
  declared: DECLARED,
};
const SETTINGS = { key: "s3cret", url: "https://example.org" };

let api: FakeInnerApi;
useInnerApi((started) => {
  api = started;
});

const trust = await openTlsContext({});
const secretsOf = (changes: { url?: string; connectTimeoutMs?: number; timeoutMs?: number } = {}) =>
  createPlatformSecrets({
    innerApi: createInnerApi({
      url: api.url,
      key: "inner key",
      trust,
      answerBytesMax: 10_000,
      itemBytesMax: 10_000,
      connectTimeoutMs: 5000,
      timeoutMs: 20_000,
      ...changes,
    }),
    berth: testSecrets,
  });

async function failureOf(work: Promise<unknown>) {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (!isFault(error)) throw new Error(`no Fault: ${error}`);
  return { code: error.code, why: error.context["why"], message: error.message };
}

test("settings are encrypted by one request in the platform's format and decrypted by another", async () => {
  const sealed = await secretsOf().seal(OWNER, SETTINGS, never);
  expect(sealed).toEqual({ key: "platform:terc3s", url: SETTINGS.url });
  expect(api.asked).toHaveLength(1);
  expect(api.asked[0]).toMatchObject({
    url: "/inner/api/invoke/encrypt",
    headers: { "x-inner-api-key": "inner key", "content-type": "application/json" },
  });
  expect(api.asked[0]?.body).toBe(
    JSON.stringify({
      tenant_id: TENANT,
      user_id: "someone",
      type: "encrypt",
      opt: "encrypt",
      namespace: "endpoint",
      identity: OWNER.endpointId,
      data: SETTINGS,
      config: DECLARED,
    }),
  );
  expect(await secretsOf().open(OWNER, sealed, never)).toEqual(SETTINGS);
  await secretsOf().forget(OWNER, SETTINGS, never);
  expect(api.asked.map(({ body }) => JSON.parse(body).opt)).toEqual(["encrypt", "decrypt", "clear"]);
});

test("must be identical 9: the encrypt call is skipped if no field is a secret", async () => {
  const [, url] = FIELDS;
  const owner = { ...OWNER, fields: url === undefined ? [] : [url] };
  const secrets = secretsOf();
  expect(await secrets.seal(owner, SETTINGS, never)).toEqual(SETTINGS);
  expect(await secrets.open(owner, SETTINGS, never)).toEqual(SETTINGS);
  await secrets.forget(owner, SETTINGS, never);
  expect(api.asked).toEqual([]);
});

test("settings that Berth sealed before a platform was configured are opened without the platform", async () => {
  const sealed = await testSecrets.seal(OWNER, SETTINGS, never);
  expect(await secretsOf().open(OWNER, sealed, never)).toEqual(SETTINGS);
  expect(api.asked).toEqual([]);
});

test.each<[string, { status?: number; text: string }, string, string]>([
  [
    "status 500",
    { status: 500, text: "Internal" },
    "platform_unavailable",
    "request failed with status code: 500 and respond with: Internal",
  ],
  [
    "status 404, as for a wrong key",
    { status: 404, text: "{}" },
    "platform_unavailable",
    "request failed with status code: 404 and respond with: {}",
  ],
  [
    "a redirect",
    { status: 302, text: "" },
    "platform_unavailable",
    "request failed with status code: 302 and respond with: ",
  ],
  [
    "an error",
    { text: '{"data":null,"error":"no such tenant"}' },
    "platform_refused",
    "request failed: no such tenant",
  ],
  ["no data", { text: '{"data":null,"error":""}' }, "platform_refused", "data is nil"],
  ["no settings", { text: '{"data":{},"error":""}' }, "platform_refused", "data is nil"],
  ["text that is not JSON", { text: "<html>" }, "platform_unavailable", "the answer is no JSON object"],
  ["JSON that is not an object", { text: "[]" }, "platform_unavailable", "the answer is no JSON object"],
  [
    "too many bytes",
    { text: " ".repeat(20_000) },
    "platform_unavailable",
    "an answer of more than 10000 bytes",
  ],
])(
  "an answer with %s is reported with its cause, is not retried, and is not shown to the public",
  async (_name, given, code, why) => {
    api.answer = (response) => {
      response.statusCode = given.status ?? 200;
      response.end(given.text);
    };
    const failure = await failureOf(secretsOf().seal(OWNER, SETTINGS, never));
    expect(failure).toMatchObject({ code, why });
    expect(failure.message).not.toContain("no such tenant");
    expect(failure.message).not.toContain("Internal");
    expect(api.asked).toHaveLength(1);
  },
);

test("an answer that breaks off and a refused connection are reported as platform_unavailable", async () => {
  api.answer = (response) => {
    response.writeHead(200, { "content-length": "100" });
    response.write("{", () => response.destroy());
  };
  expect(await failureOf(secretsOf().seal(OWNER, SETTINGS, never))).toMatchObject({
    code: "platform_unavailable",
  });
  const closed = createServer().listen(0, "127.0.0.1");
  await once(closed, "listening");
  const { port } = closed.address() as { port: number };
  closed.close();
  await once(closed, "close");
  const url = `http://127.0.0.1:${port}`;
  const failure = await failureOf(secretsOf({ url }).seal(OWNER, SETTINGS, never));
  expect(failure).toMatchObject({ code: "platform_unavailable", why: "connection refused (ECONNREFUSED)" });
  expect(failure.message).not.toContain(String(port));
});

test("a server that is slow to answer or to finish its answer is given up in time", async () => {
  api.answer = () => undefined;
  const slow = { code: "platform_unavailable", why: "no answer within 200 ms" };
  expect(await failureOf(secretsOf({ timeoutMs: 200 }).seal(OWNER, SETTINGS, never))).toMatchObject(slow);
  api.answer = (response) => void response.write('{"data":');
  expect(await failureOf(secretsOf({ timeoutMs: 200 }).open(OWNER, SETTINGS, never))).toMatchObject(slow);
});

test("a server that never answers the TLS handshake is given up after the connection timeout", async () => {
  await using mute = await muteServer();
  const settings = { url: `https://127.0.0.1:${mute.port}`, connectTimeoutMs: 200 };
  expect(await failureOf(secretsOf(settings).seal(OWNER, SETTINGS, never))).toMatchObject({
    code: "platform_unavailable",
    why: "no connection within 200 ms",
  });
});

test("a caller that leaves ends the request", async () => {
  const left = new AbortController();
  const gone = Promise.withResolvers<void>();
  api.answer = (response) => {
    response.once("close", () => gone.resolve());
    left.abort(new Error("left"));
  };
  await expect(secretsOf().seal(OWNER, SETTINGS, left.signal)).rejects.toThrow("left");
  await gone.promise;
});

async function muteServer() {
  const server = createServer();
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as { port: number }).port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
