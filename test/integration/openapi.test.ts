/** The OpenAPI document, as a generator of clients reads it. */
import { createConfig, lintFromString } from "@redocly/openapi-core";
import { expect, onTestFinished, test } from "vitest";
import { type Door, openDoor } from "../harness/rigs/door.ts";

interface Document {
  readonly tags: readonly { readonly name: string; readonly description: string }[];
  readonly paths: Readonly<Record<string, Readonly<Record<string, DocumentedOperation>>>>;
}

interface DocumentedOperation {
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters?: readonly { readonly name: string; readonly in: string }[];
  readonly responses: Readonly<Record<string, { readonly headers?: Readonly<Record<string, unknown>> }>>;
}

async function aDoor(): Promise<Door> {
  const door = await openDoor();
  onTestFinished(() => door[Symbol.asyncDispose]());
  return door;
}

async function readDocument(door: Door): Promise<Document> {
  return (await (await door.ask("GET", "/openapi.json", { key: "" })).json()) as Document;
}

const operationsOf = ({ paths }: Document) => Object.values(paths).flatMap((path) => Object.values(path));

test("a linter with Redocly's recommended rules finds no error and no warning", async () => {
  const source = await (await (await aDoor()).ask("GET", "/openapi.json", { key: "" })).text();
  const config = await createConfig({ extends: ["recommended"] });
  const problems = await lintFromString({ source, absoluteRef: "/openapi.json", config });
  expect(problems.map(({ ruleId, message }) => `${ruleId}: ${message}`)).toEqual([]);
});

test("each operation has a name of its own in camel case, and every answer documents its request id", async () => {
  const operations = operationsOf(await readDocument(await aDoor()));
  const names = operations.map(({ operationId }) => operationId);
  expect(names.filter((name) => !/^[a-z]+([A-Z0-9][a-z0-9]*)+$/.test(name))).toEqual([]);
  expect(new Set(names).size).toBe(names.length);
  for (const { operationId, responses } of operations)
    for (const [status, { headers }] of Object.entries(responses))
      expect(headers, `${operationId} ${status}`).toHaveProperty("X-Request-Id");
});

test("each tag that an operation has is described", async () => {
  const document = await readDocument(await aDoor());
  const described = document.tags.filter(({ description }) => description !== "").map(({ name }) => name);
  const used = new Set(operationsOf(document).flatMap(({ tags }) => tags));
  expect(described.toSorted()).toEqual([...used].toSorted());
});

test("an operation that reads Idempotency-Key or Last-Event-ID documents the header", async () => {
  const operations = operationsOf(await readDocument(await aDoor()));
  const readersOf = (header: string) =>
    operations
      .filter(({ parameters = [] }) => parameters.some(({ name }) => name === header))
      .map(({ operationId }) => operationId)
      .toSorted();
  expect(readersOf("Idempotency-Key")).toEqual([
    ...["changeLimits", "disablePlugin", "enablePlugin", "installPlugin"],
    ...["restartPlugin", "rollBackPlugin", "upgradePlugin"],
  ]);
  expect(readersOf("Last-Event-ID")).toEqual(["streamTaskEvents"]);
});

test.each([
  ["GET", "/health", 200],
  ["GET", "/health/ready", 200],
  ["GET", "/openapi.json", 200],
  ["GET", "/nowhere", 404],
  ["DELETE", "/health", 405],
  ["GET", "/v1/tenants", 200],
])("%s %s answers with the request id that it was given", async (method, path, status) => {
  const answer = await (await aDoor()).ask(method, path, { headers: { "x-request-id": "mine-1" } });
  expect([answer.status, answer.headers.get("x-request-id")]).toEqual([status, "mine-1"]);
});
