/**
 * How a line that was read in another thread comes back to the event loop. The text of an item is the bulk of it: as a
 * string it would be copied here, measured and made UTF-8 again for its caller, 100 ms for 15 MB, on everybody's time.
 * As bytes it changes hands.
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

/** `transfer`: memory that the other thread takes over. */
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

/** Makes the text when it is asked for. */
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
