/** What a Declaration says of its Endpoints, and the address of one that a Tenant has set up. */
import { z } from "zod";
import type { DeclarationJson } from "./package.ts";

export const EndpointId = z.guid().brand("EndpointId");
export type EndpointId = z.infer<typeof EndpointId>;

/** One field of the form that an Endpoint's settings are filled in by. */
export interface SettingField {
  readonly name: string;
  readonly type: string;
  readonly isRequired: boolean;
  /** Of a model: which kind it must be; undefined where the Declaration does not say. */
  readonly scope: string | undefined;
  /** Values that a `select` accepts. */
  readonly options: readonly string[];
}

/** The `endpoint` block of a Declaration. */
export interface EndpointOffer {
  /** In the order of the Declaration; of a name that is there twice the last one counts. */
  readonly fields: readonly SettingField[];
  /** The fields as the Declaration has them. */
  readonly settings: readonly unknown[];
  /** Paths and methods that the plugin says it answers; it does its own routing. */
  readonly endpoints: readonly unknown[];
}

/** Undefined where the Declaration offers none. */
export function readEndpointOffer(declaration: DeclarationJson): EndpointOffer | undefined {
  const block = declaration["endpoint"];
  if (typeof block !== "object" || block === null) return undefined;
  const settings = listOf(member(block, "settings"));
  const fields = new Map(settings.flatMap(readField).map((field) => [field.name, field]));
  return { fields: [...fields.values()], settings, endpoints: listOf(member(block, "endpoints")) };
}

/** Whether the manifest asks for leave to have Endpoints: without it there are none, whatever it declares. */
export function mayHaveEndpoints(declaration: DeclarationJson): boolean {
  const permission = member(declaration["resource"], "permission");
  return member(member(permission, "endpoint"), "enabled") === true;
}

export function isSecret({ type }: Pick<SettingField, "type">): boolean {
  return type === "secret-input";
}

function readField(given: unknown): SettingField[] {
  const [name, type, scope] = [member(given, "name"), member(given, "type"), member(given, "scope")];
  if (typeof name !== "string" || typeof type !== "string") return [];
  return [
    {
      ...{ name, type, isRequired: member(given, "required") === true },
      scope: typeof scope === "string" ? scope : undefined,
      options: listOf(member(given, "options"))
        .map((option) => member(option, "value"))
        .filter((value): value is string => typeof value === "string"),
    },
  ];
}

function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
