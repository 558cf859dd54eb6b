import { Fault } from "../../../../domain/fault.ts";
import { Reading, type Shape } from "../shape.ts";

export interface ChunkReader {
  /**
   * The normalised chunk, or undefined while there is nothing to send. Throws `plugin_error` where the item is not of
   * its kind: its details are `error_type` and `message`, as a client reads them. The reader is not used after that.
   */
  read(data: unknown): unknown;
}

export interface ChunkKindRow {
  /**
   * For one call: a reader may remember earlier items. `onUnknownType` is called for each message whose type Berth does
   * not know and passes on unchanged.
   */
  open(onUnknownType?: (type: string) => void): ChunkReader;
}

/** Each item on its own: unknown members are dropped, missing ones become their type's zero. */
export function each<T>(shape: Shape<T>): ChunkKindRow {
  return {
    open() {
      const read = strictReader(shape);
      return { read };
    },
  };
}

/** Reads the items of one stream. Throws where one is of another type or breaks a rule, and names it. */
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
