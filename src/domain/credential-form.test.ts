import { expect, test } from "vitest";
import { credentialNeed, fillForm, readCredentialForms } from "./credential-form.ts";

const FIELD = { name: "key", type: "secret-input", required: true };
const VARIABLE = { variable: "url", type: "text-input", required: true, show_on: [] };

test.each([
  ["tool", { tool: { credentials_schema: [FIELD] } }],
  ["datasource", { datasource: { credentials_schema: [FIELD] } }],
  ["trigger", { trigger: { subscription_constructor: { credentials_schema: [FIELD] } } }],
] as const)("a %s has one form, of its provider", (kind, declaration) => {
  expect(readCredentialForms(declaration, kind)).toEqual({
    provider: [{ name: "key", isSecret: true, isRequired: true, default: undefined, showOn: [] }],
    own: undefined,
  });
});

test("a model has a form of its provider and one of single models, and each may be missing", () => {
  const model_credential_schema = { credential_form_schemas: [VARIABLE] };
  const forms = readCredentialForms({ model: { model_credential_schema } }, "model");
  expect(forms).toMatchObject({ provider: undefined, own: [{ name: "url", isSecret: false }] });
  expect(readCredentialForms({ model: { provider_credential_schema: null } }, "model")).toEqual({
    provider: undefined,
    own: undefined,
  });
});

test.each([
  ["none", []],
  ["optional", [{ ...FIELD, required: false }]],
  ["optional", [{ ...FIELD, show_on: [{ variable: "mode", value: "key" }] }]],
  ["required", [FIELD]],
])("a provider's need is %s with the fields %j", (need, credentials_schema) => {
  expect(credentialNeed(readCredentialForms({ tool: { credentials_schema } }, "tool"))).toBe(need);
});

test("defaults fill what was left out, and a field that is not shown is not missing", () => {
  const credentials_schema = [
    { name: "mode", type: "select", default: "key" },
    { ...FIELD, show_on: [{ variable: "mode", value: "key" }] },
    { name: "token", type: "secret-input", required: true, show_on: [{ variable: "mode", value: "token" }] },
  ];
  const { provider = [] } = readCredentialForms({ tool: { credentials_schema } }, "tool");
  expect(fillForm({ key: "k" }, provider)).toEqual({ mode: "key", key: "k" });
  expect(() => fillForm({}, provider)).toThrow("credentials.key is missing; accepted: a value.");
  expect(() => fillForm({ mode: "token" }, provider)).toThrow("credentials.token is missing");
  expect(() => fillForm({ key: "k", kye: "x" }, provider)).toThrow("accepted: mode, key, token.");
});
