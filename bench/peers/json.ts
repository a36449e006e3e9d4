/** A lock's answer in ProtoJSON, with the id of the request. */
export function lockedInJson(id: string) {
  const now = new Date().toISOString();
  return { details: { id, created: now, changed: now, owner: { type: "OWNER_TYPE_INSTANCE", id: "default" } } };
}

/** What is told of a session that is open. */
export function introspected(token: string) {
  const now = Math.floor(Date.now() / 1_000);
  return { active: token !== "", sub: "user-0000000", username: "name", iat: now, exp: now + 43_200, iss: "default" };
}
