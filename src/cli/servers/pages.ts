import { z } from "zod";
import type { Client } from "../client.ts";

/** Every item of a list of `/v1`, over all of its pages. `path` may have a query. */
export async function* listAll<T>(client: Client, path: string, item: z.ZodType<T>): AsyncGenerator<T> {
  const Page = z.object({ items: z.array(item), next_cursor: z.string().nullable() });
  const joined = `${path}${path.includes("?") ? "&" : "?"}limit=200`;
  for (let cursor: string | null = ""; cursor !== null; ) {
    const after: string = cursor === "" ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    const page: z.infer<typeof Page> = Page.parse(await client.ask("GET", `${joined}${after}`));
    yield* page.items;
    cursor = page.next_cursor;
  }
}
