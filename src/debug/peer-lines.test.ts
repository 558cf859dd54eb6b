import type { Socket } from "node:net";
import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { PeerLines } from "./peer-lines.ts";

function reading(bytesMax: number) {
  const lines: string[] = [];
  const tooLong: string[] = [];
  const peer = new PeerLines(new PassThrough() as unknown as Socket, bytesMax, {
    onLine: (line) => lines.push(line.toString()),
    onTooLong: (start, max) => tooLong.push(`${start.toString()} ${max}`),
  });
  return { lines, tooLong, peer };
}

test("lines are the same however the network cuts them, and empty ones are left out", () => {
  const bytes = Buffer.from("one\n\ntwo\nthrée\n\n\nfour\nunfinished");
  for (let size = 1; size <= bytes.length; size += 1) {
    const { lines, tooLong, peer } = reading(10);
    for (let at = 0; at < bytes.length; at += size) peer.push(bytes.subarray(at, at + size));
    expect(lines).toEqual(["one", "two", "thrée", "four"]);
    expect(tooLong).toEqual([]);
  }
});

test("a JSON object is a line before the end of its line has come, and only once", () => {
  const { lines, peer } = reading(100);
  for (const piece of ['{"a":{}', "}", "\n\n", '{"b":1}', '\n{"c":2}', "\n"]) peer.push(Buffer.from(piece));
  expect(lines).toEqual(['{"a":{}}', '{"b":1}', '{"c":2}']);
  peer.push(Buffer.from('{"d":{}} and no JSON}'));
  expect(lines).toHaveLength(3);
});

test("a line over the bound is reported once with its start, and what follows it is read", () => {
  for (const size of [1, 3, 100]) {
    const { lines, tooLong, peer } = reading(4);
    const bytes = Buffer.from("abcdefgh\nfour\nabcde\nok\n");
    for (let at = 0; at < bytes.length; at += size) peer.push(bytes.subarray(at, at + size));
    expect(lines).toEqual(["four", "ok"]);
    expect(tooLong).toHaveLength(2);
    expect(tooLong[0]).toMatch(/^abcde/);
  }
});

test("while it is paused nothing is delivered, and later everything in order", () => {
  const { lines, peer } = reading(100);
  peer.pause();
  for (const piece of ["a\nb", "\nc\n", "d\n"]) peer.push(Buffer.from(piece));
  expect(lines).toEqual([]);
  peer.resume();
  expect(lines).toEqual(["a", "b", "c", "d"]);
  peer.stop();
  peer.push(Buffer.from("e\n"));
  expect(lines).toHaveLength(4);
});
