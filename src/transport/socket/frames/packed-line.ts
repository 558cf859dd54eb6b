/**
 * The form in which a line that another thread parsed comes back to the event loop. Its text is transferred as bytes: a
 * string would be copied, measured and encoded to UTF-8 again here, which blocks the event loop 100 ms for 15 MB.
 */
import type { JsonText } from "../../../domain/frame.ts";
import type { BrokenLine, SessionLine } from "../../codec.ts";

interface PackedItem {
  readonly sessionId: string;
  readonly utf8: Uint8Array<ArrayBuffer>;
  readonly nodes: number;
}

export type PackedLine =
  | { readonly item: PackedItem; readonly line?: undefined }
  | { readonly item?: undefined; readonly line: SessionLine | BrokenLine };

/** `transfer`: memory that moves to the other thread. */
export function packLine(line: SessionLine | BrokenLine): {
  readonly packed: PackedLine;
  readonly transfer: readonly ArrayBuffer[];
} {
  if (line.frame === undefined || line.frame.type !== "stream") return { packed: { line }, transfer: [] };
  const { text, nodes } = line.frame.data;
  const utf8 = new TextEncoder().encode(text);
  return { packed: { item: { sessionId: line.sessionId, utf8, nodes } }, transfer: [utf8.buffer] };
}

export function unpackLine({ item, line }: PackedLine): SessionLine | BrokenLine {
  if (item === undefined) return line;
  return { sessionId: item.sessionId, frame: { type: "stream", data: new Utf8Text(item.utf8, item.nodes) } };
}

/** Decodes the text when it is used. */
class Utf8Text implements JsonText {
  readonly utf8: Uint8Array<ArrayBuffer>;
  readonly nodes: number;

  constructor(utf8: Uint8Array<ArrayBuffer>, nodes: number) {
    this.utf8 = utf8;
    this.nodes = nodes;
  }

  get text(): string {
    return Buffer.from(this.utf8.buffer, this.utf8.byteOffset, this.utf8.length).toString("utf8");
  }
}
