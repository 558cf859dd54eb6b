/** Keys that Dify's and the daemon's own example files hold: whoever left one as it was has no secret. */
export const PUBLISHED_KEYS: readonly string[] = [
  "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi",
  "plugin-api-key",
];
