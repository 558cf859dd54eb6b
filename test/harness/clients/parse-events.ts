/** Reads a stream of server-sent events that has ended. */
/** One event of a stream. */
export interface ReadEvent {
  readonly event: string;
  readonly id: string | undefined;
  readonly data: unknown;
}

/** All events of a stream that has ended. */
export function parseEvents(text: string): ReadEvent[] {
  return text
    .split("\n\n")
    .filter((block) => block.includes("event: "))
    .map((block) => {
      const field = (name: string) => new RegExp(`^${name}: (.*)$`, "m").exec(block)?.[1];
      return {
        event: field("event") ?? "",
        id: field("id"),
        data: JSON.parse(field("data") ?? "null") as unknown,
      };
    });
}
