/** The same as the rule `identifier` of proto/userlock/v3alpha/options.proto. */
const IDENTIFIER = /^(?!\.{1,2}$)[A-Za-z0-9._~@:-]{1,200}$/;

/** What an identifier must be, for people. */
export const IDENTIFIER_RULE = "1 to 200 characters of A-Z a-z 0-9 . _ ~ @ : - and not . or ..";

/** Whether the text can be an id. */
export function isIdentifier(text: string): boolean {
  return IDENTIFIER.test(text);
}

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
