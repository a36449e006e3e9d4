/** Exit codes: those of sysexits.h, 1 for a refusal, and what shells report after Ctrl-C. */
export const EX_OK = 0;
export const EX_REFUSED = 1;
export const EX_USAGE = 64;
export const EX_UNAVAILABLE = 69;
export const EX_SOFTWARE = 70;
export const EX_IOERR = 74;
export const EX_NOPERM = 77;
export const EX_CONFIG = 78;
export const EX_INTERRUPTED = 130;

/** A command line that cannot be run. The message says what to write instead. */
export class UsageError extends Error {
  override name = "UsageError";
}

/** Ends a command with an exit code. The message may have several lines and is printed as it is. */
export class CommandFailed extends Error {
  override name = "CommandFailed";
  readonly exitCode: number;

  constructor(message: string, exitCode: number, options?: ErrorOptions) {
    super(message, options);
    this.exitCode = exitCode;
  }
}

const SYSTEM_ERRORS: Record<string, string> = {
  EACCES: "permission denied",
  EDQUOT: "the disk quota is used up",
  EISDIR: "it is a folder",
  EMFILE: "too many files are open",
  ENOENT: "there is no such file or folder",
  ENOSPC: "no space is left on the device",
  ENOTDIR: "a part of the path is not a folder",
  EPERM: "the operation is not permitted",
  EROFS: "the file system is read-only",
};

/** A system error in words. An unknown one is returned as its code. */
export function systemError(error: unknown): string {
  const { code, message } = error as { code?: string; message: string };
  return code === undefined ? message : (SYSTEM_ERRORS[code] ?? code);
}
