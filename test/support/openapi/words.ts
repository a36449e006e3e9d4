/** The errors of a validator as sentences. */
export function inWords(errors: { instancePath: string; message?: string; params: object }[] | null | undefined) {
  return (errors ?? []).map(
    ({ instancePath, message, params }) => `${instancePath || "the value"} ${message} ${JSON.stringify(params)}`,
  );
}
