/** The answer to a lock in ProtoJSON, with the requested id. */
export function lockedInJson(id: string) {
  const now = new Date().toISOString();
  return { details: { id, created: now, changed: now, owner: { type: "OWNER_TYPE_INSTANCE", id: "default" } } };
}

/** The introspection of an open session. */
export function introspected(token: string) {
  const now = Math.floor(Date.now() / 1_000);
  return { active: token !== "", sub: "user-0000000", username: "name", iat: now, exp: now + 43_200, iss: "default" };
}
