import { setImmediate as turn } from "node:timers/promises";
import { describe, expect, test } from "vitest";
import { Fault } from "../../domain/fault.ts";
import { openFormFile } from "./form-file.ts";

const refusals = {
  noForm: () => new Fault("invalid_input", "no form"),
  noFile: () => new Fault("invalid_input", "no file"),
  broken: () => new Fault("invalid_input", "broken"),
};
const MIB = 1_048_576;
const part = (name: string, file?: string) =>
  `--b\r\nContent-Disposition: form-data; name="${name}"${file === undefined ? "" : `; filename="${file}"`}\r\n\r\n`;

/** A body that counts what is taken of it. */
function sent(pieces: Iterable<string | Uint8Array>) {
  const encoder = new TextEncoder();
  const seen = { pulled: 0, isCancelled: false };
  const iterator = pieces[Symbol.iterator]();
  const body = new ReadableStream<Uint8Array>({
    pull: (controller) => {
      const next = iterator.next();
      if (next.done === true) return controller.close();
      seen.pulled += 1;
      controller.enqueue(typeof next.value === "string" ? encoder.encode(next.value) : next.value);
    },
    cancel: () => {
      seen.isCancelled = true;
    },
  });
  const headers = { "content-type": "multipart/form-data; boundary=b" };
  return { seen, request: new Request("http://door/", { method: "POST", headers, body, duplex: "half" }) };
}

function* large(mib: number, end = "\r\n--b--\r\n") {
  yield part("file", "a");
  for (let place = 0; place < mib; place += 1) yield new Uint8Array(MIB);
  yield end;
}

describe("forms with a file", () => {
  test("the file's bytes arrive unchanged, and at their end every field is known, wherever it was in the form", async () => {
    const pieces = [
      `${part("first")}1\r\n`,
      `${part("file", "a")}by`,
      "tes\r\n",
      `${part("last")}2\r\n--b--\r\n`,
    ];
    const form = await openFormFile(sent(pieces).request, "file", refusals);
    let content = "";
    for await (const chunk of form.content) content += Buffer.from(chunk).toString();
    expect([content, form.field("first"), form.field("last"), form.field("none")]).toEqual([
      ...["bytes", "1", "2", undefined],
    ]);
  });

  test("other files are skipped, and only the first file of the name is read", async () => {
    const pieces = [
      `${part("other", "x")}${"x".repeat(200_000)}\r\n`,
      `${part("file", "a")}a\r\n${part("file", "b")}${"b".repeat(200_000)}\r\n--b--\r\n`,
    ];
    const form = await openFormFile(sent(pieces).request, "file", refusals);
    const content = await Array.fromAsync(form.content);
    expect(Buffer.concat(content).toString()).toBe("a");
  });

  test("the request is read only as fast as the file is consumed", async () => {
    const { request, seen } = sent(large(64));
    const form = await openFormFile(request, "file", refusals);
    for (let turns = 0; turns < 100; turns += 1) await turn();
    expect(seen.pulled).toBeLessThan(8);
    let bytes = 0;
    for await (const chunk of form.content) bytes += chunk.length;
    expect(bytes).toBe(64 * MIB);
  });

  test("the rest of the request is cancelled if the reader stops early", async () => {
    const { request, seen } = sent(large(64));
    const form = await openFormFile(request, "file", refusals);
    for await (const _ of form.content) break;
    for (let turns = 0; turns < 1000 && !seen.isCancelled; turns += 1) await turn();
    expect(seen).toMatchObject({ isCancelled: true });
    expect(seen.pulled).toBeLessThan(16);
  });

  test("a form that ends in the middle of its file fails the reader of that file", async () => {
    const form = await openFormFile(sent(large(1, "")).request, "file", refusals);
    await expect(Array.fromAsync(form.content)).rejects.toThrow("broken");
  });

  test.each([
    ["no file", [`${part("file")}text\r\n--b--\r\n`]],
    ["no file", [`${part("other", "a")}text\r\n--b--\r\n`]],
    ["broken", ["nonsense"]],
    ["broken", [part("file")]],
  ])("a wrong form is refused with the message %s: %j", async (message, pieces) => {
    await expect(openFormFile(sent(pieces).request, "file", refusals)).rejects.toThrow(message);
  });
});
