import { Fault } from "../domain/fault.ts";

export interface WrongField {
  /** The file in the package that holds the field. */
  readonly file: string;
  readonly field: string;
  readonly value: unknown;
  readonly accepted: string;
  readonly cause?: unknown;
}

/** `manifest_invalid`: names the file, the field, its value and what is accepted. */
export function manifestInvalid({ file, field, value, accepted, cause }: WrongField): Fault {
  const text = value === undefined ? "missing" : (JSON.stringify(value) ?? String(value));
  const shown = text.length > 120 ? `${text.slice(0, 117)}...` : text;
  return new Fault("manifest_invalid", `${file}: ${field} is ${shown}; accepted: ${accepted}.`, {
    details: { file, field, value: value === undefined ? null : clip(value), accepted },
    ...(cause === undefined ? {} : { cause }),
  });
}

/** `manifest_invalid` for a missing file that a field of `file` names. */
export function fileMissing({ file, field, value }: { file: string; field: string; value: string }): Fault {
  return new Fault(
    "manifest_invalid",
    `${file}: ${field} names ${JSON.stringify(value)}, which the package does not hold.`,
    { details: { file, field, value, accepted: "the path of a file in the package", missing: value } },
  );
}

function clip(value: unknown): unknown {
  const text = JSON.stringify(value);
  return text !== undefined && text.length > 500 ? `${text.slice(0, 497)}...` : value;
}
