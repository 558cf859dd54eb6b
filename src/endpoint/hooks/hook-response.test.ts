import { describe, expect, test } from "vitest";
import { HookResponse } from "./hook-response.ts";

const hex = (text: string) => Buffer.from(text).toString("hex");

function headOf(...pieces: readonly unknown[]) {
  const response = new HookResponse();
  let body = Buffer.alloc(0);
  for (const piece of pieces) body = Buffer.concat([body, response.take(piece) ?? Buffer.alloc(0)]);
  return { ...response.head(body), body: body.toString() };
}

describe("status and headers", () => {
  test("a plugin that sends nothing answers with 200 and no body", () => {
    expect(headOf()).toEqual({ status: 200, headers: [], length: undefined, body: "" });
    expect(headOf({}, { status: null, headers: null, result: null })).toMatchObject({
      status: 200,
      headers: [],
    });
  });

  test("they are read from all pieces up to the first with a body, including that piece", () => {
    const head = headOf(
      { status: 201, headers: { A: "1" } },
      { status: 202, headers: { B: "2" }, result: hex("x") },
      { status: 500, headers: { C: "3" }, result: hex("y") },
    );
    expect(head).toMatchObject({ status: 202, body: "xy" });
    expect(head.headers.map(([name]) => name)).toEqual(["A", "B", "Content-Type"]);
  });

  test("the first header of each name is kept, whatever its case, and all cookies are kept", () => {
    const { headers } = headOf(
      { headers: { "X-A": "1", "set-cookie": "a=1" } },
      { headers: { "x-a": "2", "Set-Cookie": "b=2" } },
    );
    expect(headers).toEqual([
      ["X-A", "1"],
      ["set-cookie", "a=1"],
      ["Set-Cookie", "b=2"],
    ]);
  });

  test.each([
    [100, 200],
    [199, 200],
    [204, 204],
    [999, 999],
  ])("status %i is sent as %i", (given, sent) => {
    expect(headOf({ status: given }).status).toBe(sent);
  });

  test("connection headers and headers with invalid names are left out", () => {
    const { headers } = headOf({
      headers: {
        Connection: "close",
        "Transfer-Encoding": "chunked",
        "Keep-Alive": "1",
        Upgrade: "x",
        TE: "x",
        Trailer: "x",
        "a b": "1",
        "a:b": "1",
        "": "1",
        "X-Kept": "1",
      },
    });
    expect(headers).toEqual([["X-Kept", "1"]]);
  });

  test("a header value contains no line end, and is sent as UTF-8", () => {
    const { headers } = headOf({ headers: { "X-A": "1\r\nSet-Cookie: forged", "X-B": "ä\u0000" } });
    expect(headers).toEqual([
      ["X-A", "1  Set-Cookie: forged"],
      ["X-B", "\u00c3\u00a4"],
    ]);
  });

  test("a content length is used only if it is valid", () => {
    expect(headOf({ headers: { "content-length": "12" } }).length).toBe(12);
    expect(
      ["-1", "1 2", "0x1", "", "1e3"].map((it) => headOf({ headers: { "Content-Length": it } }).length),
    ).toEqual(Array(5).fill(undefined));
    expect(headOf({ status: 204, headers: { "Content-Length": "12" } }).length).toBeUndefined();
  });
});

test.each([
  ["plain words", "text/plain; charset=utf-8"],
  [" <!DOCTYPE html><p>", "text/html; charset=utf-8"],
  ["<html>", "text/html; charset=utf-8"],
  ["\u0000\u0001", "application/octet-stream"],
])("a body without a type, %j, is sent as %s", (body, type) => {
  expect(headOf({ result: hex(body) }).headers).toEqual([["Content-Type", type]]);
});

test("a given type stays, and the type of a compressed body is not guessed", () => {
  expect(headOf({ headers: { "content-type": "a/b" }, result: hex("x") }).headers).toEqual([
    ["content-type", "a/b"],
  ]);
  const packed = headOf({ headers: { "Content-Encoding": "gzip" }, result: hex("x") });
  expect(packed.headers).toEqual([["Content-Encoding", "gzip"]]);
});

test.each([
  [{ status: "200" }, "status"],
  [{ status: 1.5 }, "status"],
  [{ status: 0 }, "status"],
  [{ status: 1000 }, "status"],
  [{ headers: { a: 1 } }, "headers.a"],
  [{ headers: [] }, "headers"],
  [{ result: "zz" }, "result"],
  [{ result: "abc" }, "result"],
  ["text", "the answer"],
  [null, "the answer"],
])("%j is not a piece of an answer, and the fault says why", (piece, field) => {
  const take = () => new HookResponse().take(piece);
  expect(take).toThrow(
    expect.objectContaining({ code: "plugin_protocol", details: expect.objectContaining({ field }) }),
  );
});
