import type { PluginDependency } from "./dependency.ts";
import type { DeclarationJson } from "./package.ts";

/** A list of plugins that belong together, read from one archive, which may contain some of their packages. */
export interface Bundle {
  /** `author/name:version@checksum`, by the rules of a package's identifier. */
  readonly identifier: string;
  readonly author: string;
  readonly name: string;
  readonly version: string;
  /** 64 hex digits over the archive's entries. */
  readonly checksum: string;
  /** Size of the archive. */
  readonly bytes: number;
  /** `name`, `labels`, `description`, `icon`, `version`, `author`, `type`, `tags` of the manifest. */
  readonly manifest: DeclarationJson;
  /** In the order in which the manifest lists them. */
  readonly dependencies: readonly PluginDependency[];
  readonly warnings: readonly string[];
}
