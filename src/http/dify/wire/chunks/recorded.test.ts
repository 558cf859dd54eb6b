import { describe, expect, it, test } from "vitest";
import { recorded, withLists } from "../../../../../test/harness/samples/recorded.ts";
import { isFault } from "../../../../domain/fault.ts";
import { CHUNKS, type ChunkKind } from "./chunks.ts";

const ALL = recorded("chunks");
const KINDS = [...new Set(ALL.map(({ kind }) => kind))];

test("there are recordings of every kind of chunk", () => {
  // it differs from the daemon's on purpose, and has tests of its own
  expect([...KINDS, "agent_message"].toSorted()).toEqual(Object.keys(CHUNKS).toSorted());
});

describe.each(KINDS)("chunks that the daemon was asked about: %s", (kind) => {
  const ofKind = ALL.filter((one) => one.kind === kind);
  const refused = ofKind.filter((one) => one.refused !== undefined);
  const taken = ofKind.filter((one) => one.refused === undefined);

  it("what the daemon refuses is refused, and the reason is an object with a type", () => {
    expect(refused.length).toBeGreaterThan(0);
    const read = refused.map(({ name, input }) => ({ name, ...failureOf(kind, input) }));
    const wanted = {
      error_type: "unmarshal_error",
      message: expect.stringMatching(/^unmarshal json failed: /),
    };
    expect(read).toEqual(refused.map(({ name }) => ({ name, ...wanted })));
  });

  it("every other chunk is converted as the daemon converts it, with lists that are never null", () => {
    expect(taken.length).toBeGreaterThan(0);
    const read = taken.map(({ name, input }) => ({ name, answer: asSent(readChunk(kind, input)) }));
    expect(read).toEqual(taken.map(({ name, answer }) => ({ name, answer: withLists(answer, kind) })));
  });
});

function readChunk(kind: string, input: unknown): unknown {
  return CHUNKS[kind as ChunkKind].open().read(input);
}

function failureOf(kind: string, input: unknown): object {
  try {
    return { taken: readChunk(kind, input) };
  } catch (error) {
    return isFault(error, "plugin_error") ? error.details : { error };
  }
}

function asSent(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}

test("must be identical 10: decimals are texts in usage and pricing, whether a plugin gave numbers or texts", () => {
  const usage = {
    prompt_tokens: 1,
    prompt_unit_price: 0.002,
    prompt_price_unit: "0.001",
    prompt_price: 0,
    completion_tokens: 1,
    completion_unit_price: "1.50",
    total_tokens: 2,
    total_price: 1e-7,
    currency: "USD",
    latency: 0.5,
  };
  const message = { role: "assistant", content: "" };
  const chunk = asSent(readChunk("llm", { model: "m", delta: { index: 1, message, usage } }));
  expect(chunk).toMatchObject({
    delta: {
      usage: {
        prompt_unit_price: "0.002",
        prompt_price_unit: "0.001",
        prompt_price: "0",
        completion_unit_price: "1.5",
        completion_price: "0",
        total_price: "0.0000001",
      },
    },
  });
});

test("must be identical 10: bytes stay as the plugin wrote them, hex in speech, base64 in blobs", () => {
  expect(asSent(readChunk("speech", { result: "00FFa0" }))).toMatchObject({ result: "00FFa0" });
  const blob = { type: "blob", message: { blob: "AP+g" }, meta: null };
  expect(asSent(readChunk("message", blob))).toEqual(blob);
});
