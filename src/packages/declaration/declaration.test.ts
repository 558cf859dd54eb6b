import { describe, expect, it } from "vitest";
import { REAL_MANIFEST, temporaryFolder, zipOf } from "../../../test/support/test-zip.ts";
import { formatDecimal } from "../../domain/decimal.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../read-package.ts";
import { matchGlob } from "./glob.ts";
import { formatTimestamp } from "./timestamp.ts";

const MODEL_PROVIDER = `provider: parrot
label: { en_US: Parrot }
icon_small: { en_US: icon.svg }
supported_model_types: [llm]
configurate_methods: [predefined-model]
provider_credential_schema:
  credential_form_schemas:
    - { variable: key, type: secret-input, label: { en_US: Key }, default: 0 }
models:
  llm: { predefined: ["models/llm/*.yaml"], position: models/llm/_position.yaml }
extra: { python: { provider_source: provider/parrot.py, model_sources: [] } }
`;
const MODEL = `model: parrot-1
model_type: llm
features: [vision]
model_properties: { mode: chat, context_size: 4096 }
parameter_rules:
  - { name: heat, use_template: temperature, max: 2 }
  - { name: loud, type: boolean, default: true }
pricing: { input: "0.0010", unit: 1e-6, currency: USD }
`;

async function readModel(changes: Record<string, string> = {}) {
  await using folder = await temporaryFolder();
  const files = {
    "manifest.yaml": REAL_MANIFEST.replace("tools: [provider/echo.yaml]", "models: [provider/parrot.yaml]"),
    "_assets/icon.svg": "<svg/>",
    "provider/parrot.yaml": MODEL_PROVIDER,
    "provider/parrot.py": "",
    "models/llm/_position.yaml": "- parrot-1\n- gone\n",
    "models/llm/b.yaml": MODEL,
    "models/llm/deep/c.yaml": "not: read",
    ...changes,
  };
  const path = await folder.file("a", zipOf(files));
  return await readPackage(path, new Date(0), DEFAULT_READ_OPTIONS);
}

describe("the declaration of a model provider", () => {
  it("has every key, with templates filled in and prices as texts", async () => {
    const { declaration, providers } = await readModel();
    const icon = "21acddfae829fa1f96934f4c3e956931144de514f302edb95e8323e6c84d844b.svg";
    expect(providers).toEqual([{ kind: "model", name: "parrot" }]);
    expect(declaration["model"]).toEqual({
      provider: "parrot",
      label: { en_US: "Parrot" },
      description: { en_US: "Repeats" },
      icon_small: { en_US: icon },
      icon_large: null,
      icon_small_dark: null,
      icon_large_dark: null,
      background: null,
      help: null,
      supported_model_types: ["llm"],
      configurate_methods: ["predefined-model"],
      provider_credential_schema: {
        credential_form_schemas: [
          {
            variable: "key",
            label: { en_US: "Key" },
            type: "secret-input",
            required: false,
            default: "0",
            options: [],
            help: null,
            url: null,
            placeholder: null,
            max_length: 0,
            show_on: [],
          },
        ],
      },
      model_credential_schema: null,
      position: { llm: ["parrot-1", "gone"] },
      models: [
        {
          model: "parrot-1",
          label: { en_US: "parrot-1" },
          model_type: "llm",
          features: ["vision"],
          fetch_from: "predefined-model",
          model_properties: { mode: "chat", context_size: 4096 },
          deprecated: false,
          parameter_rules: [
            {
              name: "heat",
              use_template: "temperature",
              label: { en_US: "heat" },
              type: "float",
              help: expect.objectContaining({ en_US: expect.any(String) }),
              required: false,
              default: 0,
              min: 0,
              max: 2,
              precision: 2,
              options: [],
            },
            {
              name: "loud",
              use_template: null,
              label: { en_US: "loud" },
              type: "boolean",
              help: null,
              required: false,
              default: true,
              min: null,
              max: null,
              precision: null,
              options: [],
            },
          ],
          pricing: { input: "0.001", output: null, unit: "0.000001", currency: "USD" },
        },
      ],
    });
  });

  it("is refused with file, field and value if a rule names an unknown template and no type", async () => {
    const model = MODEL.replace("use_template: temperature", "use_template: warmth");
    await expect(readModel({ "models/llm/b.yaml": model })).rejects.toMatchObject({
      code: "manifest_invalid",
      details: { file: "models/llm/b.yaml", field: "parameter_rules[0].use_template", value: "warmth" },
    });
  });

  it("keeps an unknown template with a warning if the rule has a type", async () => {
    const model = MODEL.replace("use_template: temperature", "use_template: warmth, type: float");
    const { declaration, warnings } = await readModel({ "models/llm/b.yaml": model });
    expect(JSON.stringify(declaration)).toContain('"use_template":"warmth"');
    expect(warnings).toContainEqual(
      expect.stringMatching(
        /^models\/llm\/b\.yaml: parameter_rules\[0\]\.use_template: is "warmth"; expected one of temp/,
      ),
    );
  });
});

describe("file patterns", () => {
  it.each([
    ["models/*.yaml", "models/a.yaml", true],
    ["models/*.yaml", "models/x/a.yaml", false],
    ["models/**/*.yaml", "models/x/a.yaml", true],
    ["models/**/*.yaml", "models/x/y/a.yaml", false],
    ["[a-c]?.y", "bz.y", true],
    ["[^a-c]?.y", "bz.y", false],
    ["\\*.y", "*.y", true],
    ["[a", "a", undefined],
    [`${"*a".repeat(40)}b`, "a".repeat(200), false],
  ])("%j on %j is %s", (pattern, path, matches) => {
    expect(matchGlob(pattern, path)).toBe(matches);
  });
});

describe("prices and moments", () => {
  it.each([
    ["0.0010", "0.001"],
    ["1e-6", "0.000001"],
    ["12E2", "1200"],
    ["1.5e1", "15"],
    ["-0.0", "0"],
    [".5", "0.5"],
    ["1e999", undefined],
    ["free", undefined],
  ])("the price %s is %s", (written, plain) => {
    expect(formatDecimal(written)).toBe(plain);
  });

  it.each([
    ["2024-07-12T08:03:44.658609186Z", "2024-07-12T08:03:44.658609186Z"],
    ["2024-07-12t08:03:44+08:00", "2024-07-12T08:03:44+08:00"],
    ["2024-7-2", "2024-07-02T00:00:00Z"],
    ["2024-13-01", undefined],
    ["soon", undefined],
  ])("the moment %s is %s", (written, formatted) => {
    expect(formatTimestamp(written)).toBe(formatted);
  });
});
