/** Where packages, icons and the data of plugins are stored. */
import {
  bareUrl,
  matching,
  oneOf,
  optional,
  relativePath,
  type Setting,
  secret,
  text,
  whole,
} from "../kinds.ts";

export const STORAGE = {
  BERTH_STORAGE: optional(
    "Folder of packages, icons and plugins' data, in the layout of dify-plugin-daemon; if unset, `storage` in the data folder",
  ),
  BERTH_STORAGE_PACKAGES: relativePath("plugin_packages", "Folder of packages in the storage"),
  BERTH_STORAGE_INSTALLED: relativePath("plugin", "Folder of copies of installed packages in the storage"),
  BERTH_STORAGE_ASSETS: relativePath("assets", "Folder of icons in the storage"),
  BERTH_STORAGE_PERSISTENCE: relativePath("persistence", "Folder of plugins' data in the storage"),
  BERTH_S3_BUCKET: optional("Bucket to use as storage; if unset, the folder is used"),
  BERTH_S3_ENDPOINT: bareUrl("Server of the bucket (`https://s3.eu-central-1.amazonaws.com`)"),
  BERTH_S3_REGION: text("us-east-1", "Region of the bucket"),
  BERTH_S3_PREFIX: matching(
    (value) => /^[\w.-]+(\/[\w.-]+)*\/?$/.test(value),
    "letters, digits, `_`, `.`, `-`, and `/` between and after them",
    "Folder in the bucket (`berth/`); if unset, Berth uses the whole bucket",
  ),
  BERTH_S3_PATH_STYLE: oneOf(
    ["yes", "no"],
    "yes",
    "Where requests name the bucket: `yes` in the path, `no` in front of the host name",
  ),
  BERTH_S3_ACCESS_KEY_ID: optional(
    "Access key; if unset, the machine's credentials, found as the vendor's tools find them",
  ),
  BERTH_S3_SECRET_ACCESS_KEY: secret("Secret of the access key"),
  BERTH_S3_CACHE_MB: whole(0, 16_777_216, "1024", "Local cache of packages from the bucket (MiB)"),
} as const satisfies Record<string, Setting<unknown>>;
