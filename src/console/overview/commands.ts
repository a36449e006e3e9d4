/** The body of CreateUser over REST. */
const ALICE = {
  userId: "alice",
  contact: { email: { address: "alice@example.com" } },
  authenticators: { usernames: [{ username: "alice" }] },
};

/** Commands that create a user on the server at this address, such as "https://id.example.com". */
export function firstUserCommands(origin: string): { curl: string; userlock: string } {
  return {
    curl: [
      `curl -H "Authorization: Bearer $USERLOCK_TOKEN" \\`,
      `  --json '${JSON.stringify(ALICE)}' \\`,
      `  ${origin}/resources/v3alpha/users`,
    ].join("\n"),
    userlock: [
      `export USERLOCK_URL=${origin}`,
      "userlock user create alice --username alice --email alice@example.com",
    ].join("\n"),
  };
}
