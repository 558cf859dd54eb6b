import { expect, test } from "vitest";
import { readEvents } from "./event-stream.ts";

async function collect(chunks: string[]): Promise<unknown[]> {
  const body = ReadableStream.from(chunks.map((chunk) => new TextEncoder().encode(chunk)));
  const events: unknown[] = [];
  for await (const event of readEvents(new Response(body))) events.push(event);
  return events;
}

test("events are read completely wherever the bytes are split, without comments and ids", async () => {
  const wire =
    ': ping\n\nid: 1\nevent: step\ndata: {"step":"building"}\n\nevent: end\ndata: {"text":"ä"}\n\n';
  const expected = [
    { name: "step", data: { step: "building" } },
    { name: "end", data: { text: "ä" } },
  ];
  expect(await collect([wire])).toEqual(expected);
  expect(await collect([...wire])).toEqual(expected);
});
