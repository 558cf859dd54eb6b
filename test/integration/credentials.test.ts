/** Credentials that a tenant keeps: what the plugin accepts, what calls and calls back get, what nobody sees again. */
import { afterEach, expect, test } from "vitest";
import { invokeTool, PLUGIN_PATH, post, TOOL_CALL } from "../harness/clients/invocations.ts";
import { until } from "../harness/clients/until.ts";
import type { FakeSession } from "../harness/doubles/fake-runtime.ts";
import { type Door, openDoor } from "../harness/rigs/door.ts";
import { TENANT } from "../harness/samples/callers.ts";

const SECRET = "only-the-plugin/may see this";
const PATH = `/v1/tenants/${TENANT}/credentials`;
const field = (name: string, more: object = {}) => ({ name, type: "text-input", required: false, ...more });
const variable = (name: string, more: object = {}) => ({
  variable: name,
  type: "text-input",
  show_on: [],
  ...more,
});
const secret = { type: "secret-input", required: true };

const DECLARATION = {
  tool: {
    identity: { name: "echo" },
    credentials_schema: [field("key", secret), field("region", { default: "eu" })],
    tools: [{ identity: { name: "say" } }, { identity: { name: "sing" } }],
  },
  model: {
    provider: "echo",
    models: [],
    provider_credential_schema: { credential_form_schemas: [variable("key", secret)] },
    model_credential_schema: { credential_form_schemas: [variable("url", { required: true })] },
  },
};

let door: Door;
/** Calls that are no validation, left open. */
let held: FakeSession[] = [];
afterEach(async () => {
  held = [];
  await door[Symbol.asyncDispose]();
});

/** A plugin that refuses the key `bad`, in words that repeat it, and adds what it found out about others. */
async function openWorld() {
  door = await openDoor({
    declaration: DECLARATION,
    script: (session) => {
      const { action, credentials = {} } = session.data as Record<string, Record<string, string>>;
      if (!String(action).startsWith("validate")) return void held.push(session);
      if (credentials["key"]?.startsWith("bad"))
        session.error({
          error_type: "CredentialsValidateFailedError",
          message: `${credentials["key"]}?`,
          args: {},
        });
      else session.item({ result: credentials["key"] !== "wrong", credentials: { found: "it" } });
      session.end();
    },
  });
}
const first = async (count: number): Promise<FakeSession> => {
  await until(() => held.length >= count);
  return held[count - 1] as FakeSession;
};

interface Kept {
  readonly id: string;
  readonly name: string;
  readonly default: boolean;
}
async function ask(method: string, path: string, body: object | undefined, status: number) {
  const answer = await door.ask(method, path, body === undefined ? {} : { body });
  const text = await answer.text();
  expect([answer.status, text]).toEqual([status, text]);
  return (text === "" ? {} : JSON.parse(text)) as Record<string, unknown>;
}
const keep = async (name: string, more: object = {}, status = 201) =>
  (await ask(
    "POST",
    PATH,
    { provider: "berth/echo/echo", kind: "tool", name, credentials: { key: SECRET }, ...more },
    status,
  )) as unknown as Kept & { readonly error: { readonly code: string; readonly details: object } };

test("credentials are kept once the plugin accepts them, and nothing but the plugin sees a value again", async () => {
  await openWorld();
  const made = await keep("main");
  expect(made).toMatchObject({
    provider: "berth/echo/echo",
    kind: "tool",
    name: "main",
    default: true,
    fields: ["found", "key", "region"],
  });
  const shown = await ask("GET", `${PATH}/${made.id}`, undefined, 200);
  expect(shown).toEqual(made);
  const listed = await ask("GET", PATH, undefined, 200);
  expect(listed["items"]).toEqual([made]);
  const replaced = await ask("PUT", `${PATH}/${made.id}`, { credentials: { key: `${SECRET}2` } }, 200);
  const seen = JSON.stringify([made, shown, listed, replaced, door.memory.credentials, door.logged]);
  expect(door.memory.credentials[0]?.sealed).toMatch(/^berth:1:test:/);
  expect(seen).not.toContain(SECRET);
});

test("what the plugin refuses is not kept, and its reason does not repeat the secret", async () => {
  await openWorld();
  const bad = `bad ${SECRET}`;
  const { error } = await keep("main", { credentials: { key: bad } }, 422);
  expect(error).toMatchObject({
    code: "credentials_refused",
    message: "The plugin refuses the credentials: ***?",
    details: { field: "credentials", why: "***?" },
  });
  expect((await keep("main", { credentials: { key: "wrong" } }, 422)).error.code).toBe("credentials_refused");
  const made = await keep("main");
  const before = door.memory.credentials[0];
  await ask("PUT", `${PATH}/${made.id}`, { credentials: { key: bad } }, 422);
  expect(door.memory.credentials).toEqual([before]);
  expect(JSON.stringify(door.logged)).not.toContain(SECRET);
});

test.each([
  ["an unknown field", { credentials: { key: "k", kye: "x" } }, "credentials.kye"],
  ["a missing field", { credentials: {} }, "credentials.key"],
  ["a name in the form of an id", { name: "0b1e2d3c-0000-4000-8000-000000000001" }, "name"],
  ["no kind where two fit", { kind: undefined }, "kind"],
  ["a model where none has its own", { model: "m", model_type: "llm" }, "model"],
  ["a model without its type", { kind: "model", model: "m" }, "model_type"],
  ["too much", { credentials: { key: "k".repeat(32_768) } }, "credentials"],
])("%s is refused with the field and what is accepted", async (_what, more, at) => {
  await openWorld();
  const { error } = await keep("main", more, 400);
  expect(error).toMatchObject({
    code: "invalid_input",
    details: { field: at, accepted: expect.any(String) },
  });
  expect(JSON.stringify(error)).not.toContain("kkk");
  expect(door.memory.credentials).toEqual([]);
});

test("a provider that is not there, or takes no credentials, gets none", async () => {
  door = await openDoor();
  for (const provider of ["berth/echo/echo", "berth/echo/other"])
    expect((await keep("main", { provider }, 404)).error.code).toBe("provider_not_found");
  expect((await keep("main", { provider: "acme/x/x" }, 404)).error.code).toBe("installation_not_found");
});

test("a default is removed after another one has become the default", async () => {
  await openWorld();
  const [a, b] = [await keep("a"), await keep("b")];
  expect([a.default, b.default]).toEqual([true, false]);
  expect((await ask("DELETE", `${PATH}/${a.id}`, undefined, 409))["error"]).toMatchObject({
    code: "conflict",
  });
  expect(await ask("PATCH", `${PATH}/${b.id}`, { default: true }, 200)).toMatchObject({ default: true });
  await ask("DELETE", `${PATH}/${a.id}`, undefined, 204);
  expect((await ask("GET", `${PATH}/${a.id}`, undefined, 404))["error"]).toMatchObject({
    code: "credential_not_found",
  });
});

test("a call gets the credential that it names by name or id, and the plugin nothing of the name", async () => {
  await openWorld();
  const { id } = await keep("main");
  for (const [count, credential] of [
    [1, "main"],
    [2, id],
  ] as const) {
    const asked = invokeTool(door, { ...TOOL_CALL, credential, tool_parameters: { text: "ü" } });
    const session = await first(count);
    expect(session.data).toMatchObject({
      credentials: { key: SECRET, region: "eu", found: "it" },
      tool_parameters: { text: "ü" },
    });
    expect(session.data).not.toHaveProperty("credential");
    session.end();
    await (await asked).text();
  }
});

test("the same in a large body, which another thread reads", async () => {
  await openWorld();
  await keep("main");
  const asked = invokeTool(door, {
    ...TOOL_CALL,
    credential: "main",
    tool_parameters: { t: "x".repeat(70_000) },
  });
  const session = await first(1);
  expect(session.data).toMatchObject({ credentials: { key: SECRET } });
  expect(session.data).not.toHaveProperty("credential");
  session.end();
  await (await asked).text();
});

test.each([
  [{ credential: "other" }, 404, "credential_not_found", "credential"],
  [{ credential: "main", credentials: {} }, 400, "invalid_input", "credential"],
  [{ credential: 7 }, 400, "invalid_input", "credential"],
  [{ credential: "main", provider: "other" }, 404, "provider_not_found", "provider"],
])("a call with %j is refused before the plugin sees it", async (more, status, code, at) => {
  await openWorld();
  await keep("main");
  const answer = await invokeTool(door, { ...TOOL_CALL, ...more });
  expect(answer.status).toBe(status);
  const { error } = (await answer.json()) as { error: { code: string; details: { accepted: unknown } } };
  expect(error).toMatchObject({ code, details: { field: at } });
  if (code === "credential_not_found") expect(error.details.accepted).toEqual(["main"]);
  expect(held).toEqual([]);
});

/** What a tool's call back gets: the session that serves it, or the error that the tool reads. */
async function callBack(type: string, request: object) {
  const asked = invokeTool(door, TOOL_CALL);
  const outer = await first(held.length + 1);
  outer.invoke({ type, backwards_request_id: "b", request: { provider: "berth/echo/echo", ...request } });
  await until(() => outer.sent.length > 0 || held.at(-1) !== outer);
  const inner = held.at(-1) as FakeSession;
  const read = outer.sent.map((line) => (JSON.parse(line) as { data: { message: string } }).data.message);
  if (inner !== outer) inner.end();
  outer.end();
  await (await asked).text();
  return inner === outer ? read[0] : inner.data["credentials"];
}
const sing = { tool: "sing", tool_parameters: {} };
const chat = (model: string) => ({ model, model_type: "llm", prompt_messages: [], completion_params: {} });

test("a call back gets the default of its provider, that of its model before it, or the one that it names", async () => {
  await openWorld();
  await keep("main");
  await keep("second", { credentials: { key: "second" } });
  await keep("models", { kind: "model", credentials: { key: "m" } });
  await keep("own", { kind: "model", model: "mine", model_type: "llm", credentials: { url: "u" } });
  expect(await callBack("tool", sing)).toMatchObject({ key: SECRET });
  expect(await callBack("tool", { ...sing, credential_id: "second" })).toMatchObject({ key: "second" });
  expect(await callBack("llm", chat("any"))).toMatchObject({ key: "m" });
  expect(await callBack("llm", chat("mine"))).toEqual({ url: "u", found: "it" });
  expect(await callBack("tool", { ...sing, credential_id: "third" })).toBe(
    'tool: credential_id is "third": the tenant keeps no such credential for it; accepted: main, second.',
  );
});

test("a call back to a provider that needs credentials is an error while none is kept", async () => {
  await openWorld();
  expect(await callBack("tool", sing)).toContain(
    "tool: The tenant keeps no credential for the tool provider berth/echo/echo; POST ",
  );
  expect(await callBack("llm", chat("mine"))).toContain("berth/echo/echo and its llm mine; POST ");
});

test("a model's call can name a credential too", async () => {
  await openWorld();
  await keep("models", { kind: "model", credentials: { key: "m" } });
  const asked = post(door, `${PLUGIN_PATH}/invoke_llm`, {
    ...{ user_id: "u", provider: "berth/echo/echo", model: "x", prompt_messages: [] },
    credential: "models",
  });
  const session = await first(1);
  expect(session.data["credentials"]).toEqual({ key: "m", found: "it" });
  session.end();
  await (await asked).text();
});
