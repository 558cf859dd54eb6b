/** The types of calls back, which plugins make to their host, and who serves each. */

export const HOST_CALL_TYPES = [
  "storage",
  "tool",
  "llm",
  "llm_structured_output",
  "text_embedding",
  "multimodal_embedding",
  "rerank",
  "multimodal_rerank",
  "tts",
  "speech2text",
  "moderation",
  "system_summary",
  "node_parameter_extractor",
  "node_question_classifier",
  "app",
  "fetch_app",
  "upload_file",
] as const;

export type HostCallType = (typeof HOST_CALL_TYPES)[number];

/** Types that a platform may serve. Berth itself keeps what plugins store. */
export type PlatformCallType = Exclude<HostCallType, "storage">;

const PLACES = ["platform", "local"] as const;

/** Who serves a call back: the platform's inner API, or Berth with the plugins of the same tenant. */
export type HostCallPlace = (typeof PLACES)[number];

/** The operator's choice; what it leaves open goes to the platform where there is one. */
export interface HostCallPlaces {
  readonly all?: HostCallPlace;
  readonly types: Readonly<Partial<Record<PlatformCallType, HostCallPlace>>>;
}

export const HOST_CALL_PLACES_ACCEPTED = `\`platform\` or \`local\` for all types, \`type=platform\` or \`type=local\` for single ones, comma-separated; types: ${platformCallTypes().join(", ")}`;

export function isHostCallType(type: string): type is HostCallType {
  return (HOST_CALL_TYPES as readonly string[]).includes(type);
}

export function platformCallTypes(): readonly PlatformCallType[] {
  return HOST_CALL_TYPES.filter((type) => type !== "storage");
}

/** Undefined for a text that names another type or place, or names one twice. */
export function parseHostCallPlaces(text: string): HostCallPlaces | undefined {
  let all: HostCallPlace | undefined;
  const types: Partial<Record<PlatformCallType, HostCallPlace>> = {};
  for (const item of text.split(",").flatMap((part) => part.trim() || [])) {
    const [left = "", right, ...rest] = item.split("=").map((part) => part.trim());
    const place = PLACES.find((known) => known === (right ?? left));
    const type = platformCallTypes().find((known) => known === left);
    if (place === undefined || rest.length > 0) return undefined;
    if (right === undefined) {
      if (all !== undefined) return undefined;
      all = place;
    } else {
      if (type === undefined || types[type] !== undefined) return undefined;
      types[type] = place;
    }
  }
  return { ...(all !== undefined && { all }), types };
}

/** Where calls of the type are served. */
export function placeOf(
  type: HostCallType,
  { all, types }: HostCallPlaces,
  hasPlatform: boolean,
): HostCallPlace {
  if (type === "storage") return "local";
  return types[type] ?? all ?? (hasPlatform ? "platform" : "local");
}
