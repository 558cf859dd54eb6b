import { randomInt } from "node:crypto";
import { RuntimeId } from "../../domain/ids.ts";

const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

export function newRuntimeId(): RuntimeId {
  return RuntimeId.parse(Array.from({ length: 10 }, () => ALPHABET[randomInt(ALPHABET.length)]).join(""));
}
