/** Templates for the YAML files that a seed package lacks: valid, with every value to be changed. */
export const SEED_LISTS = ["tools", "models", "endpoints", "datasources"] as const;
export type SeedList = (typeof SEED_LISTS)[number];

export function isSeedList(list: string): list is SeedList {
  return SEED_LISTS.some((known) => known === list);
}

/** A file at `LIST/NAME.yaml` that the reader accepts, beside `LIST/NAME.py`. */
export function seedTemplate(list: SeedList, name: string): string {
  return TEMPLATES[list](JSON.stringify(name), name);
}

const TEMPLATES: Readonly<Record<SeedList, (quoted: string, name: string) => string>> = {
  tools: (quoted) => `description: What the tool does
parameters:
  - name: query
    type: string
    required: true
    description: What the tool is asked
identity:
  name: ${quoted}
`,
  endpoints: (_quoted, name) => `path: /${name}
method: POST
`,
  models: (quoted, name) => `provider: ${quoted}
label:
  en_US: ${quoted}
supported_model_types: [llm]
configurate_methods: [customizable-model]
model_credential_schema:
  model:
    label:
      en_US: Model
  credential_form_schemas:
    - variable: api_key
      label:
        en_US: Key
      type: secret-input
      required: true
extra:
  python:
    provider_source: models/${name}.py
    model_sources: [models/${name}.py]
`,
  datasources: (quoted, name) => `identity:
  author: author
  name: ${quoted}
  label:
    en_US: ${quoted}
  description:
    en_US: What the datasource reads
  icon: ""
provider_type: online_document
credentials_schema: []
datasources:
  - identity:
      author: author
      name: ${quoted}
      label:
        en_US: ${quoted}
    description:
      en_US: What the datasource reads
    parameters: []
extra:
  python:
    source: datasources/${name}.py
`,
};
