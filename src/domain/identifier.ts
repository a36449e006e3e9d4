/** The same as the rule `identifier` of proto/userlock/v3alpha/options.proto. */
const IDENTIFIER = /^(?!\.{1,2}$)[A-Za-z0-9._~@:-]{1,200}$/;

/** The rule for identifiers, for error messages. */
export const IDENTIFIER_RULE = "1 to 200 characters of A-Z a-z 0-9 . _ ~ @ : - and not . or ..";

/** Whether the text is a valid id. */
export function isIdentifier(text: string): boolean {
  return IDENTIFIER.test(text);
}

/** The subject of userlock's own changes, such as an automatic lock. */
export const USERLOCK = "userlock";

const OPERATOR = "admin@";

/** The subject of an operator that changes the store directly, without a server. */
export function operatorOn(host: string): string {
  return OPERATOR + host;
}

/** Whether the subject is reserved for userlock and operators, or looks like it. Callers and users may not have it. */
export function isSystemSubject(subject: string): boolean {
  const plain = subject.trim().toLowerCase();
  return plain === USERLOCK || plain.startsWith(OPERATOR);
}
