import { z } from "zod";
import { RuntimeId } from "../../domain/ids.ts";
import { storableText } from "../../util/storable.ts";

const ExitMessage = z.object({
  id: RuntimeId,
  exit: z.object({
    exitCode: z.number().optional(),
    signal: z.string().transform(storableText).optional(),
    oom: z.boolean(),
    hung: z.string().optional(),
  }),
});
export type ExitMessage = z.infer<typeof ExitMessage>;

export function formatExit(message: {
  readonly id: RuntimeId;
  readonly exit: {
    readonly exitCode: number | undefined;
    readonly signal: string | undefined;
    readonly oom: boolean;
    readonly hung?: string;
  };
}): string {
  return JSON.stringify(message);
}

/** Undefined if the message has another form: another release may have sent it. */
export function parseExit(text: string): ExitMessage | undefined {
  try {
    const parsed = ExitMessage.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
