import { Fault } from "../../domain/fault.ts";
import type { ProviderKind } from "../../domain/package.ts";
import { ASSET_BYTES_MAX, ASSETS_MAX, DECLARATION_BYTES_MAX } from "../settings.ts";
import { type JsonMap, parseRegistration } from "./messages.ts";

/** What a plugin has said of itself. */
export interface Registered {
  readonly manifest: JsonMap;
  readonly providers: ReadonlyMap<ProviderKind, readonly JsonMap[]>;
  /** By their names in the plugin's folder of assets. */
  readonly assets: ReadonlyMap<string, Buffer>;
}

/** Gathers the lines of one plugin's registration, within bounds. */
export class Registration {
  #manifest: JsonMap | undefined;
  readonly #providers = new Map<ProviderKind, readonly JsonMap[]>();
  readonly #assets = new Map<string, { readonly chunks: Buffer[]; isWhole: boolean }>();
  #declarationBytes = 0;
  #assetBytes = 0;

  /** What was registered, once this line is the last one. Throws `invalid_input` and `payload_too_large`. */
  take(line: Buffer): Registered | undefined {
    // An asset's line is little more than its content; every other line is parsed as a whole.
    if (line.length > DECLARATION_BYTES_MAX)
      throw tooLarge("the declarations", line.length, DECLARATION_BYTES_MAX);
    const message = parseRegistration(line);
    switch (message.type) {
      case "manifest":
        this.#countDeclaration(line.length);
        if (this.#manifest !== undefined) throw twice("manifest_declaration");
        this.#manifest = message.manifest;
        return undefined;
      case "providers":
        this.#countDeclaration(line.length);
        if (this.#providers.has(message.kind)) throw twice(`${message.kind}_declaration`);
        this.#providers.set(message.kind, message.providers);
        return undefined;
      case "asset":
        this.#takeAsset(message.name, message.content, message.isLast);
        return undefined;
      case "end":
        return this.#end();
      default:
        return message satisfies never;
    }
  }

  #countDeclaration(bytes: number): void {
    this.#declarationBytes += bytes;
    if (this.#declarationBytes > DECLARATION_BYTES_MAX)
      throw tooLarge("the declarations", this.#declarationBytes, DECLARATION_BYTES_MAX);
  }

  #takeAsset(name: string, content: Buffer, isLast: boolean): void {
    const asset = this.#assets.get(name) ?? { chunks: [], isWhole: false };
    if (asset.isWhole) throw twice(`the asset ${JSON.stringify(name)}`);
    this.#assetBytes += content.length;
    if (this.#assetBytes > ASSET_BYTES_MAX) throw tooLarge("the assets", this.#assetBytes, ASSET_BYTES_MAX);
    asset.chunks.push(content);
    asset.isWhole = isLast;
    this.#assets.set(name, asset);
    if (this.#assets.size > ASSETS_MAX)
      throw new Fault("payload_too_large", `the plugin has more than ${ASSETS_MAX} assets`, {
        details: { field: "assets", value: this.#assets.size, accepted: `at most ${ASSETS_MAX}` },
      });
  }

  #end(): Registered {
    if (this.#manifest === undefined)
      throw new Fault("invalid_input", "end came before manifest_declaration", {
        details: { field: "end", value: null, accepted: "a manifest_declaration before it" },
      });
    const assets = [...this.#assets].map(([name, { chunks }]) => [name, Buffer.concat(chunks)] as const);
    return { manifest: this.#manifest, providers: this.#providers, assets: new Map(assets) };
  }
}

function twice(what: string): Fault {
  return new Fault("invalid_input", `${what} came twice; accepted: once`, {
    details: { field: what, value: 2, accepted: 1 },
  });
}

function tooLarge(what: string, bytes: number, bytesMax: number): Fault {
  return new Fault("payload_too_large", `${what} have at least ${bytes} bytes; accepted: ${bytesMax}`, {
    details: { field: what, value: bytes, accepted: bytesMax },
  });
}
