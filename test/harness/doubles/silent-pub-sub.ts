import type { KeyPubSub } from "../../../src/keys/keyring.ts";

/** Of a process that shares its rows with no other: nothing is delivered. */
export const silentPubSub: KeyPubSub = {
  publish: () => Promise.resolve(),
  subscribe: () => Promise.resolve({ [Symbol.asyncDispose]: () => Promise.resolve() }),
};
