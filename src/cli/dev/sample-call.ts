/** A call to try, made from what a plugin declares. */
import { z } from "zod";

const Parameter = z.looseObject({
  name: z.string(),
  type: z.string().catch("string"),
  required: z.boolean().nullish(),
  form: z.string().nullish(),
  default: z.unknown().optional(),
  options: z.array(z.looseObject({ value: z.unknown().optional() })).nullish(),
});
const Identity = z.object({ name: z.string() });
const Tool = z.object({ identity: Identity, parameters: z.array(Parameter).nullish() });
const Declaration = z.object({
  tool: z
    .object({
      identity: Identity,
      credentials_schema: z.array(Parameter).nullish(),
      tools: z.array(Tool),
    })
    .nullish(),
  model: z
    .object({
      provider: z.string(),
      models: z.array(z.object({ model: z.string(), model_type: z.string() })).nullish(),
      provider_credential_schema: z
        .object({ credential_form_schemas: z.array(z.looseObject({ variable: z.string() })).nullish() })
        .nullish(),
    })
    .nullish(),
});
type Parameter = z.infer<typeof Parameter>;

/** The last part of a path of `/v1/tenants/{tenant}/plugins/{plugin}/`, and the body to send there. */
export interface SampleCall {
  readonly path: string;
  readonly body: object;
}

const USER = "me";

/** Of the first tool, else of the first large language model; undefined where there is neither. */
export function sampleCall(declaration: unknown): SampleCall | undefined {
  const { data } = Declaration.safeParse(declaration);
  const { tool, model } = data ?? {};
  const first = tool?.tools[0];
  if (tool && first !== undefined) {
    const tool_parameters = samples((first.parameters ?? []).filter(isSent));
    const credentials = samples(tool.credentials_schema ?? []);
    const named = { provider: tool.identity.name, tool_name: first.identity.name };
    return { path: "invoke_tool", body: { user_id: USER, ...named, credentials, tool_parameters } };
  }
  const llm = model?.models?.find(({ model_type: type }) => type === "llm");
  if (!model || llm === undefined) return undefined;
  const asked = model.provider_credential_schema?.credential_form_schemas ?? [];
  const credentials = Object.fromEntries(asked.map(({ variable }) => [variable, "..."]));
  const named = { provider: model.provider, model_type: "llm", model: llm.model };
  const prompt_messages = [{ role: "user", content: "Hello" }];
  const rest = { model_parameters: {}, stop: [], tools: [], stream: true };
  return { path: "invoke_llm", body: { user_id: USER, ...named, credentials, prompt_messages, ...rest } };
}

function isSent({ required, default: given }: Parameter): boolean {
  return required === true || (given !== undefined && given !== null);
}

function samples(parameters: readonly Parameter[]): Record<string, unknown> {
  return Object.fromEntries(parameters.map((parameter) => [parameter.name, sampleOf(parameter)]));
}

function sampleOf({ type, default: given, options }: Parameter): unknown {
  if (given !== undefined && given !== null) return given;
  const option = options?.[0];
  if (option !== undefined) return option.value;
  if (type === "number") return 1;
  if (type === "boolean") return true;
  if (type === "string") return "Hello";
  return type.includes("files") ? [] : "...";
}

/** One line for a shell. `key`: how the shell finds the key, as `$(cat FILE)`. */
export function shellLine(url: string, key: string, body: object): string {
  const json = JSON.stringify(body).replaceAll("'", "'\\''");
  return `curl -sSN ${url} -H "Authorization: Bearer ${key}" -H 'Content-Type: application/json' -d '${json}'`;
}
