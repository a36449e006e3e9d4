import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";

const ALICE = {
  userId: "alice",
  contact: { email: { address: "alice@example.com" } },
  authenticators: { usernames: [{ username: "alice" }] },
};

/**
 * Commands that create a user on the server at this address, such as "https://id.example.com". Both call the path of the
 * method, because the admin listener has no REST.
 */
export function firstUserCommands(origin: string): { curl: string; userlock: string } {
  return {
    curl: [
      `curl -H "Authorization: Bearer $USERLOCK_TOKEN" \\`,
      `  --json '${JSON.stringify({ user: ALICE })}' \\`,
      `  ${origin}/${UserService.typeName}/${UserService.method.createUser.name}`,
    ].join("\n"),
    userlock: [
      `export USERLOCK_URL=${origin}`,
      "userlock user create alice --username alice --email alice@example.com",
    ].join("\n"),
  };
}
