import { isMap } from "../../../../domain/json.ts";
import { field, map, needed, oneOf, struct, text } from "../shape.ts";
import { openFiles } from "./open-files.ts";
import { type ChunkKindRow, type ChunkReader, strictReader } from "./reader.ts";

const TYPES: readonly string[] = [
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
  "ui",
];

/** The content of a message concerns only plugin and platform. */
const MESSAGE = struct({
  type: needed(text, oneOf(TYPES)),
  message: field(map),
  meta: field(map),
});

/** Messages of tools and datasources. */
export const messages: ChunkKindRow = {
  open: (onUnknownType) => passingNewer(strictReader(MESSAGE), onUnknownType),
};

/**
 * Messages of an agent strategy. The pieces of a file become one `blob` when the last piece has come, with that piece's
 * `meta`. A file without its last piece is dropped.
 */
export const agentMessages: ChunkKindRow = {
  open(onUnknownType) {
    const read = strictReader(MESSAGE);
    const files = openFiles();
    return passingNewer((data) => {
      const chunk = read(data);
      if (chunk.type !== "blob_chunk") return chunk;
      const blob = files.add(chunk.message ?? {});
      return blob === undefined ? undefined : { type: "blob", message: { blob }, meta: chunk.meta };
    }, onUnknownType);
  },
};

/** A message of a type that is not listed here may come from a newer SDK: it passes as the plugin wrote it. */
function passingNewer(read: ChunkReader["read"], onUnknownType?: (type: string) => void): ChunkReader {
  return {
    read(data) {
      const type = isMap(data) ? data["type"] : undefined;
      if (typeof type !== "string" || type === "" || TYPES.includes(type)) return read(data);
      onUnknownType?.(type);
      return data;
    },
  };
}
