/** Whether `JSON.parse` accepts the text. */
export function parsesJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
}
