import { sha256 } from "../../util/sha256.ts";
import { publicIndexUrls } from "./build/index-env.ts";
import type { IndexSettings } from "./build/settings.ts";
import type { Dependencies } from "./requirements/choose-dependencies.ts";

/** Raise it with every change of what a build makes of the same input. */
export const BUILDER_VERSION = "5";

/** Parts of both keys beside the package: another value of any of these is another image. */
export interface BuildBase {
  /** `sha256:...` of the runtime image. */
  readonly runtimeImageId: string;
  readonly arch: string;
  readonly settingsHash: string;
}

/** Key of a package's image: all installs of the same package under the same settings share it. */
export function imageKey(base: BuildBase, checksum: string): string {
  return sha256(
    ["image", checksum, base.runtimeImageId, BUILDER_VERSION, base.arch, base.settingsHash].join("\n"),
  );
}

/** Key of an image that came from another Berth: its own id stands for everything it was made of. */
export function importedImageKey(imageId: string, checksum: string): string {
  return sha256(["imported", checksum, imageId, BUILDER_VERSION].join("\n"));
}

/** Key of the dependency layer: the bytes of its lock or lines, so that a new version with the same dependencies reuses it. */
export function dependencyKey(base: BuildBase, dependencies: Dependencies): string {
  const files = dependencies.files.map(({ name, content }) => `${name}:${sha256(content)}`);
  return sha256(
    [
      "dependencies",
      dependencies.kind,
      ...files,
      ...dependencies.options,
      base.runtimeImageId,
      BUILDER_VERSION,
      base.arch,
      base.settingsHash,
    ].join("\n"),
  );
}

/** Hash of the package indexes and the authorities that are trusted there; passwords are left out. */
export function indexSettingsHash(index: IndexSettings): string {
  return sha256(JSON.stringify([publicIndexUrls(index), index.caBundle?.digest ?? ""]));
}
