/** What datasources, triggers and OAuth providers answer. */
import { field, flag, list, map, needed, omitted, optionalText, struct, text, whole } from "../shape.ts";
import { filledMap, listOrEmpty } from "./values.ts";

export const AUTHORIZATION_URL = struct({ authorization_url: field(text) });

export const OAUTH_CREDENTIALS = struct({
  metadata: omitted(filledMap),
  credentials: field(map),
  expires_at: field(whole),
});

export const REFRESHED_CREDENTIALS = struct({ credentials: field(map), expires_at: field(whole) });

export const WEBSITE_CRAWL = struct({ result: field(map) });

export const DOCUMENT_PAGES = struct({ result: field(listOrEmpty(map)) });

const DRIVE_FILE = struct({ id: field(text), name: field(text), size: field(whole), type: field(text) });

/** Buckets are not checked further: an empty file or folder is valid. */
export const DRIVE_FILES = struct({
  result: needed(
    list(
      struct({
        bucket: field(optionalText),
        files: field(listOrEmpty(DRIVE_FILE)),
        is_truncated: field(flag),
        next_page_parameters: field(map),
      }),
      { dives: false },
    ),
  ),
});

export const EVENT_VARIABLES = struct({ variables: field(map), cancelled: field(flag) });

/** `response` is a whole HTTP answer in hex digits, as the plugin wrote it. */
export const DISPATCHED_EVENT = struct({
  user_id: field(text),
  events: field(listOrEmpty(text)),
  payload: omitted(filledMap),
  response: field(text),
});

export const SUBSCRIPTION = struct({ subscription: field(map) });
