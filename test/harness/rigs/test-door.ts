import { onTestFinished } from "vitest";
import { type Door, type DoorOptions, openDoor } from "./door.ts";

/** A door that closes when the test ends. */
export async function openTestDoor(options: DoorOptions = {}): Promise<Door> {
  const door = await openDoor(options);
  onTestFinished(() => door[Symbol.asyncDispose]());
  return door;
}
