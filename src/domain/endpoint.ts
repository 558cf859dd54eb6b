/** What a declaration says about endpoints, and the id of an endpoint that a tenant has set up. */
import { z } from "zod";
import { listOf, member } from "./json.ts";
import type { DeclarationJson } from "./package.ts";
import { asksFor } from "./permission.ts";

export const EndpointId = z.guid().brand("EndpointId");
export type EndpointId = z.infer<typeof EndpointId>;

/** One field of the form for an endpoint's settings. */
export interface SettingField {
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  /** Of a model: which kind it must be; undefined where the declaration does not say. */
  readonly scope: string | undefined;
  /** Values that a `select` accepts. */
  readonly options: readonly string[];
}

/** The `endpoint` block of a declaration. */
export interface EndpointOffer {
  /** In the order of the declaration; where a name appears twice, the last one counts. */
  readonly fields: readonly SettingField[];
  /** The fields exactly as the declaration has them. */
  readonly settings: readonly unknown[];
  /** Paths and methods that the plugin says it answers. Berth does not use them: the plugin does its own routing. */
  readonly endpoints: readonly unknown[];
}

/** Undefined where the declaration offers no endpoints. */
export function readEndpointOffer(declaration: DeclarationJson): EndpointOffer | undefined {
  const block = declaration["endpoint"];
  if (typeof block !== "object" || block === null) return undefined;
  const settings = listOf(member(block, "settings"));
  const fields = new Map(settings.flatMap(readField).map((field) => [field.name, field]));
  return { fields: [...fields.values()], settings, endpoints: listOf(member(block, "endpoints")) };
}

/** Whether the manifest asks for the permission to have endpoints. Without it there are none, whatever is declared. */
export function mayHaveEndpoints(declaration: DeclarationJson): boolean {
  return asksFor(declaration, "endpoint");
}

export function isSecret({ type }: Pick<SettingField, "type">): boolean {
  return type === "secret-input";
}

function readField(given: unknown): SettingField[] {
  const [name, type, scope] = [member(given, "name"), member(given, "type"), member(given, "scope")];
  if (typeof name !== "string" || typeof type !== "string") return [];
  return [
    {
      name,
      type,
      isRequired: member(given, "required") === true,
      scope: typeof scope === "string" ? scope : undefined,
      options: listOf(member(given, "options"))
        .map((option) => member(option, "value"))
        .filter((value): value is string => typeof value === "string"),
    },
  ];
}
