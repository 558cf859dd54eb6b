export type Load = Readonly<Record<"p50" | "p99" | "perSecond" | "pluginMicros", number>>;
export type BerthLoad = Load & Readonly<Record<"hostMicros" | "runnerMicros", number>>;
