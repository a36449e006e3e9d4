/** Subject of what userlock does by itself, such as an automatic lock. */
export const USERLOCK = "userlock";

const OPERATOR = "admin@";

/** Subject of an operator who works on the store itself, without a server. */
export function operatorOn(host: string): string {
  return OPERATOR + host;
}

/** Whether a subject marks, or seems to mark, one of the system's own actors. No caller and no user may have it. */
export function isSystemSubject(subject: string): boolean {
  const plain = subject.trim().toLowerCase();
  return plain === USERLOCK || plain.startsWith(OPERATOR);
}
