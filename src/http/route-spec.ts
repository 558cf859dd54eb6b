import type { z } from "@hono/zod-openapi";
import type { FaultCode } from "../domain/fault.ts";
import type { Access } from "./middleware/authenticate.ts";

/** The declaration of one route. */
export interface RouteSpec<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType> {
  /** The operation's name in generated clients: a verb and its object, in camel case. */
  readonly name: string;
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  /** In OpenAPI's syntax: `/v1/keys/{id}`. */
  readonly path: string;
  /** In Hono's syntax, where a parameter may contain slashes. */
  readonly pattern?: string;
  readonly tag: string;
  readonly summary: string;
  readonly access: Access;
  readonly params?: P;
  readonly query?: Q;
  /** For the document only: the headers that the handler reads. */
  readonly headers?: z.ZodObject;
  /** A JSON body. */
  readonly body?: B;
  /** For the document only: the content type of a body that the handler reads itself. */
  readonly rawBody?: string;
  /** Replaces the setting for the time from a complete request to its answer. */
  readonly answerTimeoutMs?: number;
  readonly answers: Readonly<Record<number, RouteAnswer>>;
  readonly faults?: readonly FaultCode[];
}

/** One row of the table behind authorisation and the OpenAPI document. */
export interface RouteRow {
  readonly method: "get" | "post" | "put" | "patch" | "delete";
  readonly path: string;
  readonly access: Access;
}

/** One documented answer of a route. */
export interface RouteAnswer {
  readonly description: string;
  /** By content type; a stream is documented as text. */
  readonly content?: Readonly<Record<string, z.ZodType>>;
}
