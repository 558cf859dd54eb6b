/** What can be known of a package by its identifier. */
import { isFault, toFault } from "../../../domain/fault.ts";
import type { DecodedPackage, PackageDecoder } from "../../../installation/packages/package-decoder.ts";
import type { PackageTexts } from "../../../installation/packages/package-texts.ts";
import type { Store } from "../../../store/store.ts";
import type { DifyDoor } from "../door.ts";
import { refusal } from "../errors.ts";
import { IdentifierInput, identifierOfHeader, isIdentifier, MANAGEMENT, NOTHING } from "../inputs.ts";
import { field, needed, struct, text } from "../wire/shape.ts";
import { identifierParts, readableDeclaration } from "./declaration.ts";

const LANGUAGE_DEFAULT = "en_US";
const ReadmeInput = struct({
  plugin_unique_identifier: needed(text, isIdentifier),
  language: field(text),
});

interface PackagesDeps {
  readonly store: Pick<Store, "platform">;
  readonly decoder: PackageDecoder;
  readonly texts: Pick<PackageTexts, "readme">;
}

export function addPackages(door: DifyDoor, deps: PackagesDeps): void {
  const { store, texts } = deps;
  const route = (path: string) => ({ method: "GET", path: `${MANAGEMENT}/${path}`, gate: "key" }) as const;
  door.add({ ...route("decode/from_identifier"), input: IdentifierInput }, ({ input, signal }) =>
    decode(deps, input.plugin_unique_identifier, signal),
  );
  door.add(
    { method: "GET", path: "/v2/invoke/extract", gate: "key", input: NOTHING },
    ({ context, signal }) =>
      decode(deps, identifierOfHeader(context.req.header("x-plugin-unique-identifier")), signal),
  );
  door.add({ ...route("fetch/manifest"), input: IdentifierInput }, async ({ input }) => {
    const identifier = input.plugin_unique_identifier;
    const found = (await store.platform.declarations([identifier])).get(identifier);
    const parts = identifierParts(identifier);
    // Also where the archive is still here: whoever asks brings it again then, and that brings the row back.
    if (found === undefined || parts === undefined)
      throw refusal("PluginDaemonBadRequestError", "plugin not found");
    return readableDeclaration(found, parts, new Date(0));
  });
  door.add({ ...route("fetch/identifier"), input: IdentifierInput }, ({ input }) =>
    store.platform.isInstalledAnywhere(input.plugin_unique_identifier),
  );
  door.add({ ...route("fetch/readme"), input: ReadmeInput }, async ({ input, signal }) => {
    const pkg = { identifier: input.plugin_unique_identifier };
    const readme = await texts
      .readme(pkg, input.language || LANGUAGE_DEFAULT, signal)
      .catch((error: unknown) => {
        const cause = causeText(error);
        throw refusal("PluginDaemonInternalServerError", `failed to get readme from database: ${cause}`);
      });
    if (readme === undefined)
      throw refusal("PluginDaemonNotFoundError", "no readme content available for this plugin");
    return { content: readme.content, language: readme.language };
  });
}

async function decode({ decoder }: PackagesDeps, identifier: string, signal: AbortSignal) {
  const decoded = await decoder.decode(identifier, signal).catch((error: unknown) => {
    throw isFault(error) && error.rule.passing
      ? error
      : refusal("PluginDaemonBadRequestError", causeText(error));
  });
  return {
    unique_identifier: identifier,
    manifest: decoded.declaration,
    verification: verificationJson(decoded),
  };
}

/** Whom the signer says the package is from. */
export function verificationJson({ isVerified, category }: Pick<DecodedPackage, "isVerified" | "category">) {
  return isVerified && category !== undefined ? { authorized_category: category } : null;
}

/** What cannot be here is not here. */
const ABSENT = ["package_not_found", "invalid_input", "identifier_too_long"];

export function causeText(error: unknown): string {
  const { code, message } = toFault(error);
  return ABSENT.includes(code) ? "plugin package not found, please upload it firstly" : message;
}
