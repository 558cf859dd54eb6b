import { Fault } from "../../../../domain/fault.ts";
import { Reading, type Shape } from "../shape.ts";

export interface ChunkReader {
  /**
   * The normalised chunk; undefined where there is nothing to send yet. Throws `plugin_error` where the plugin's item
   * is none of its kind: its details are `error_type` and `message`, as a client reads them. Nothing is read after that.
   */
  read(data: unknown): unknown;
}

export interface ChunkKindRow {
  /** For one Invocation: a reader may remember what came before. */
  open(): ChunkReader;
}

/** Each item by itself: members that no one knows are dropped, what is missing is its type's zero. */
export function each<T>(shape: Shape<T>): ChunkKindRow {
  return {
    open() {
      const read = strictReader(shape);
      return { read };
    },
  };
}

/** Reads items of one stream. What is of another type, or breaks a rule, is refused and named. */
export function strictReader<T>(shape: Shape<T>): (data: unknown) => T {
  const at = new Reading({ onMismatch: refuseType });
  const broken: string[] = [];
  return (data) => {
    const value = shape.read(data, at);
    shape.check?.(value, "", broken);
    if (broken.length > 0) throw refuseChunk(broken.join("\n"));
    return value;
  };
}

export function refuseChunk(why: string): Fault {
  const message = `unmarshal json failed: ${why}`;
  return new Fault("plugin_error", message, { details: { error_type: "unmarshal_error", message } });
}

function refuseType(path: string, expected: string, value: unknown): never {
  const given = value === null ? "null" : Array.isArray(value) ? "array" : typeof value;
  throw refuseChunk(
    `cannot read ${given} into ${path === "" ? "the chunk" : path}; it is of type ${expected}`,
  );
}
