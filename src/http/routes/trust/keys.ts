import { z } from "zod";
import { Fault } from "../../../domain/fault.ts";
import type { Trust } from "../../../installation/trust/trust.ts";
import { parsePublicKey } from "../../../packages/signature/keys.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { TrustedKeySchema, trustedKeyJson } from "./json.ts";

export interface TrustKeyParts {
  readonly trust: Trust;
  readonly store: Pick<Store, "trust">;
}

/** Each signature is tried with each of them. */
const KEYS_MAX = 100;

const Body = z.strictObject({
  name: z.string().min(1).max(100).meta({ description: "Whose key it is" }),
  public_key: z.string().min(1).max(16_384).meta({ description: "PEM of an RSA public key" }),
});
const Answer = { "application/json": TrustedKeySchema };

export function addListTrustedKeys(routes: Routes, { trust }: Pick<TrustKeyParts, "trust">): void {
  routes.add(
    {
      name: "listTrustedKeys",
      method: "get",
      path: "/v1/trust/keys",
      tag: "trust",
      summary: "Lists the trusted public keys, those of BERTH_TRUSTED_KEYS first.",
      access: { opens: "any", scope: "read" },
      answers: {
        200: {
          description: "All of them",
          content: { "application/json": z.object({ items: z.array(TrustedKeySchema) }) },
        },
      },
    },
    async () => Response.json({ items: (await trust.trustedKeys()).map(trustedKeyJson) }),
  );
}

export function addAddTrustedKey(routes: Routes, { trust, store }: TrustKeyParts): void {
  routes.add(
    {
      name: "addTrustedKey",
      method: "post",
      path: "/v1/trust/keys",
      tag: "trust",
      summary: "Adds a trusted public key. Adding it again changes nothing and answers 200.",
      access: { opens: "operator", scope: "trust:write" },
      body: Body,
      answers: {
        200: { description: "Already trusted", content: Answer },
        201: { description: "Trusted", content: Answer },
      },
      faults: ["invalid_input", "invalid_json", "unsupported_media_type", "conflict"],
    },
    async ({ body: { name, public_key: given }, by }) => {
      const key = parsePublicKey(given, "public_key");
      const known = await trust.trustedKeys();
      const same = known.find(({ id }) => id === key.id);
      if (same === undefined && known.length >= KEYS_MAX) throw tooMany(known.length);
      const { created, key: added } =
        same === undefined ? await store.trust.addKey({ ...key, name }, by) : { created: false, key: same };
      return Response.json(trustedKeyJson(added), {
        status: created ? 201 : 200,
        headers: { location: `/v1/trust/keys/${added.id}` },
      });
    },
  );
}

export function addRemoveTrustedKey(routes: Routes, { trust, store }: TrustKeyParts): void {
  routes.add(
    {
      name: "removeTrustedKey",
      method: "delete",
      path: "/v1/trust/keys/{id}",
      tag: "trust",
      summary:
        "Removes a trusted key. Installed plugins stay; later installs, upgrades and uploads are decided without it.",
      access: { opens: "operator", scope: "trust:write" },
      params: z.object({ id: z.string().min(1).max(64) }),
      answers: { 200: { description: "The key", content: Answer } },
      faults: ["not_found", "conflict"],
    },
    async ({ params: { id }, by }) => {
      if (trust.settings.keys.some((key) => key.id === id)) throw ofSettings(id);
      return Response.json(trustedKeyJson(await store.trust.removeKey(id, by)));
    },
  );
}

function tooMany(value: number): Fault {
  return new Fault("conflict", `${value} keys are trusted already; remove one first.`, {
    details: { field: "public_key", value, accepted: `at most ${KEYS_MAX} trusted keys` },
  });
}

function ofSettings(id: string): Fault {
  return new Fault("conflict", "The key comes from BERTH_TRUSTED_KEYS; remove its file and restart Berth.", {
    details: { field: "id", value: id, accepted: "the id of a key that was added over /v1" },
  });
}
