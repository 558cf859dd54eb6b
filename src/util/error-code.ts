/** The code of a failure of the platform (`ENOENT`, `ERR_...`); undefined where it has none. */
export function errorCode(failure: unknown): unknown {
  return failure instanceof Error && "code" in failure ? failure.code : undefined;
}
