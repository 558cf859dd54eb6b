import { field, map, needed, oneOf, struct, text } from "../shape.ts";
import { openFiles } from "./open-files.ts";
import { type ChunkKindRow, strictReader } from "./reader.ts";

const TYPES = [
  "text",
  "file",
  "blob",
  "blob_chunk",
  "json",
  "link",
  "image",
  "image_link",
  "binary_link",
  "variable",
  "log",
  "retriever_resources",
];

/** Messages of tools, agent strategies and datasources; their content concerns only plugin and platform. */
export const MESSAGE = struct({
  type: needed(text, oneOf(TYPES)),
  message: field(map),
  meta: field(map),
});

/**
 * Messages of an agent strategy. The pieces of a file become one `blob` when the last piece has come, with that piece's
 * `meta`. A file without its last piece is dropped.
 */
export const agentMessages: ChunkKindRow = {
  open() {
    const read = strictReader(MESSAGE);
    const files = openFiles();
    return {
      read(data) {
        const chunk = read(data);
        if (chunk.type !== "blob_chunk") return chunk;
        const blob = files.add(chunk.message ?? {});
        return blob === undefined ? undefined : { type: "blob", message: { blob }, meta: chunk.meta };
      },
    };
  },
};
