import { setImmediate as turn } from "node:timers/promises";
import { expect, onTestFinished, test } from "vitest";
import { TenantId } from "../../domain/ids.ts";
import { indexOperations } from "../../domain/operations/operations.ts";
import { BodyReader } from "./body-reader.ts";

const MIB = 1024 * 1024;
const ONE = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001");
const OTHER = TenantId.parse("6f1a1c1e-0000-4000-8000-000000000002");
const TOOL = { type: "tool", action: "invoke_tool" };

function aReader({ tenantBodiesBytesMax = 64 * MIB, bodiesBytesMax = 64 * MIB } = {}): BodyReader {
  const reader = new BodyReader({ tenantBodiesBytesMax, bodiesBytesMax });
  onTestFinished(() => reader[Symbol.dispose]());
  return reader;
}

const call = (parameters: string, more = "") =>
  Buffer.from(
    `{"user_id":"u","provider":"p","tool_name":"t"${more},"odd":1.0,"tool_parameters":{"é":${parameters}}}`,
  );
const wide = (values: number) => `[${"[],".repeat(values)}1.0]`;

test("a large body is read for an operation that contains functions, as those of the routes do", async () => {
  const operation = indexOperations()(TOOL.type, TOOL.action);
  if (operation === undefined) throw new Error("there is no such operation");
  const body = call(`"${"x".repeat(100_000)}"`);
  const text = body.toString();
  expect((await aReader().readFields(operation, body, ONE)).text === text).toBe(true);
});

test("a large body is read into the fields that Berth uses and its unchanged text", async () => {
  const body = call(wide(300_000), ',"context":{"n":1.50}');
  const text = body.toString();
  const reader = aReader();
  const read = await reader.readFields(TOOL, body, ONE);
  expect(read.text === text).toBe(true);
  expect(read).toMatchObject({
    fields: { user_id: "u", provider: "p", tool_name: "t", context: {}, tool_parameters: {} },
    isChecked: true,
    refusal: undefined,
  });
  const { valueStart = 0, end = 0 } = read.places?.get("context") ?? {};
  expect(text.slice(valueStart, end)).toBe('{"n":1.50}');
  expect(reader.bytes).toBe(0);
});

test("the event loop keeps running while a large body is read", async () => {
  const reading = { isOver: false };
  const read = aReader()
    .readFields(TOOL, call(wide(300_000)), ONE)
    .finally(() => {
      reading.isOver = true;
    });
  let turns = 0;
  for (; !reading.isOver; turns++) await turn();
  await read;
  // on the event loop there would be one or two
  expect(turns).toBeGreaterThan(20);
});

test("a large body that breaks a rule is refused like a small body", async () => {
  const reader = aReader();
  const large = `"${"x".repeat(100_000)}"`;
  for (const parameters of ["1", large]) {
    const noUser = Buffer.from(`{"provider":"p","a":${parameters}}`);
    const { refusal, isChecked } = await reader.readFields(TOOL, noUser, ONE);
    if (parameters === large)
      expect(refusal).toMatchObject({ code: "invalid_input", details: { field: "user_id" } });
    else expect(isChecked).toBeUndefined();
    for (const [body, code, field] of [
      [`{"a":${parameters},"a":1}`, "invalid_input", "a"],
      [`{"a":${parameters},"b":"\\ud800"}`, "invalid_input", "b"],
      [`{"a":${parameters},"user_id":"\\u0000"}`, "invalid_input", "user_id"],
      [`{"a":${parameters},"b":${"[".repeat(200)}`, "invalid_input", "b.0.0.0.0.0.0.0.0.0.0.0..."],
      [`{"a":${parameters},}`, "invalid_json", "body"],
    ] as const) {
      const refused = reader.readFields(TOOL, Buffer.from(body), ONE);
      await expect(refused).rejects.toMatchObject({ code, details: { field } });
    }
  }
  const refused = reader.readFields(TOOL, call(wide(1_000_001)), ONE);
  await expect(refused).rejects.toMatchObject({ details: { accepted: "at most 1000000 values in a body" } });
});

test("a large body of a daemon route becomes the plugin's input, or the daemon's refusal", async () => {
  const reader = aReader();
  const asked = { ...TOOL, contentType: "application/json", tenantId: ONE };
  const data = `{"provider":"p","tool":"t","tool_parameters":${`{"x":${wide(50_000)}}`}}`;
  const { wire } = await reader.readDispatched(asked, Buffer.from(`{"user_id":"u","data":${data}}`));
  expect(wire?.data).toContain(`"tool_parameters":{"x":${wide(50_000)}}`);
  const broken = `{"user_id":"u","data":{"tool":"t","tool_parameters":{"x":${wide(50_000)}}}}`;
  const { refusal } = await reader.readDispatched(asked, Buffer.from(broken));
  expect(refusal).toMatchObject({
    message: expect.stringContaining("'Data.Provider'"),
    context: { status: 400 },
  });
});

test("each tenant has a bound and all together have one; a refusal names the numbers, and finished bodies free memory", async () => {
  const reader = aReader({ tenantBodiesBytesMax: 500_000, bodiesBytesMax: 700_000 });
  const large = () => call(`"${"x".repeat(300_000)}"`);
  const first = reader.readFields(TOOL, large(), ONE);
  await expect(reader.readFields(TOOL, large(), ONE)).rejects.toMatchObject({
    code: "busy",
    message: expect.stringMatching(/of this tenant's calls already use 3\d{5} of 500000 bytes/),
  });
  const second = reader.readFields(TOOL, large(), OTHER);
  await expect(reader.readFields(TOOL, call(`"${"x".repeat(150_000)}"`), ONE)).rejects.toMatchObject({
    code: "busy",
    message: expect.stringMatching(/of all calls already use 6\d{5} of 700000 bytes/),
  });
  // a small one does not wait for the large ones
  expect(await reader.readFields(TOOL, call("1"), ONE)).toMatchObject({ fields: { provider: "p" } });
  await Promise.all([first, second]);
  expect(reader.bytes).toBe(0);
  expect(await reader.readFields(TOOL, large(), ONE)).toMatchObject({ fields: { provider: "p" } });
});

test("bodies that are being read when the process stops are refused", async () => {
  const reader = aReader();
  const reads = [1, 2, 3].map(() => reader.readFields(TOOL, call(wide(100_000)), ONE));
  reader[Symbol.dispose]();
  for (const read of await Promise.allSettled(reads))
    expect(read).toMatchObject({ status: "rejected", reason: { code: "shutting_down" } });
  await expect(reader.readFields(TOOL, call(wide(100_000)), ONE)).rejects.toMatchObject({
    code: "shutting_down",
  });
});
