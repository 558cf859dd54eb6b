/** Packages of SDKs that are newer than Berth: what it does not know stays in the declaration, with a warning. */
import { expect, test } from "vitest";
import { REAL_MANIFEST, temporaryFolder, zipOf } from "../../../test/support/test-zip.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../read-package.ts";

const text = { en_US: "x" };
const identity = { author: "acme", name: "echo", label: text, description: text, icon: "icon.svg" };
const described = { description: text, extra: { python: { source: "tools/echo.py" } } };
const parameterOf = (type: string) => ({ name: "p", label: text, type, description: text });
const field = (type: string) => ({ name: "key", type, label: text });

/** The provider file of each kind, with one parameter or credential of the type. */
const PLACES: Readonly<Record<string, { list: string; field: string; provider: (type: string) => object }>> =
  {
    "a tool's parameter": {
      list: "tools",
      field: "tools[0].parameters[0].type",
      provider: (type) => ({
        identity,
        tools: [
          {
            identity,
            description: { human: text, llm: "x" },
            parameters: [{ ...parameterOf(type), human_description: text, form: "llm", show_on: [] }],
          },
        ],
      }),
    },
    "an agent strategy's parameter": {
      list: "agent_strategies",
      field: "strategies[0].parameters[0].type",
      provider: (type) => ({
        identity,
        strategies: [{ identity, ...described, parameters: [parameterOf(type)] }],
      }),
    },
    "a datasource's parameter": {
      list: "datasources",
      field: "datasources[0].parameters[0].type",
      provider: (type) => ({
        identity,
        provider_type: "website_crawl",
        datasources: [{ identity, ...described, parameters: [parameterOf(type)] }],
      }),
    },
    "an event's parameter": {
      list: "triggers",
      field: "events[0].parameters[0].type",
      provider: (type) => ({
        identity,
        events: [{ identity, ...described, parameters: [parameterOf(type)] }],
      }),
    },
    "a tool's credential": {
      list: "tools",
      field: "credentials_for_provider.key.type",
      provider: (type) => ({ identity, credentials_for_provider: { key: field(type) }, tools: [] }),
    },
    "a model's credential": {
      list: "models",
      field: "provider_credential_schema.credential_form_schemas[0].type",
      provider: (type) => ({
        provider: "echo",
        label: text,
        provider_credential_schema: {
          credential_form_schemas: [{ variable: "key", label: text, type }],
        },
      }),
    },
  };

async function readWith(place: string, type: string) {
  const { list = "", provider } = PLACES[place] ?? {};
  await using folder = await temporaryFolder();
  const bytes = zipOf({
    "manifest.yaml": REAL_MANIFEST.replace("tools: [provider/echo.yaml]", `${list}: [provider/x.yaml]`),
    "provider/x.yaml": JSON.stringify(provider?.(type)),
    "_assets/icon.svg": "<svg/>",
  });
  const { declaration, warnings } = await readPackage(
    await folder.file("p", bytes),
    new Date(0),
    DEFAULT_READ_OPTIONS,
  );
  return { declared: JSON.stringify(declaration), warnings: warnings.filter((one) => one.includes("type:")) };
}

test.each(Object.keys(PLACES))(
  "%s of an unknown type is kept, and a warning names the known ones",
  async (place) => {
    const { declared, warnings } = await readWith(place, "hologram");
    expect(declared).toContain('"type":"hologram"');
    expect(warnings).toEqual([
      expect.stringMatching(/^provider\/x\.yaml: \S+: is "hologram"; expected one of .*select/),
    ]);
    expect(warnings[0]).toContain(PLACES[place]?.field);
  },
);

test.each([
  ["a tool's parameter", "date-range", 0],
  ["a tool's parameter", "date", 0],
  ["a tool's parameter", "date-picker", 1],
  ["an agent strategy's parameter", "array[tools]", 0],
  ["an event's parameter", "dynamic-select", 0],
])("%s of type %s leads to %i warnings", async (place, type, count) => {
  const { declared, warnings } = await readWith(place, type);
  expect(declared).toContain(`"type":"${type}"`);
  expect(warnings).toHaveLength(count);
});

test("members of a parameter that the daemon does not know are left out", async () => {
  expect((await readWith("a tool's parameter", "string")).declared).not.toContain("show_on");
});
