import type { ComponentChildren } from "preact";
import { AttackPage } from "./attack/attack.tsx";
import { LogPage } from "./log/log.tsx";
import { OverviewPage } from "./overview/overview.tsx";
import { PolicyPage } from "./policy/policy.tsx";
import { TokensPage } from "./tokens/tokens.tsx";
import { UserPage } from "./user/user.tsx";
import { UsersPage } from "./users/users.tsx";

/** The pages, in the order of the menu. The one with an empty path is the start. */
export const PAGES: readonly {
  key: "overview" | "users" | "log" | "attack" | "policy" | "tokens";
  path: string;
  /** What the caller needs to see it. Undefined: nothing. */
  permission: string | undefined;
  /** Shows the page for the rest of the path. */
  show(rest: string[]): ComponentChildren;
}[] = [
  { key: "overview", path: "", permission: undefined, show: () => <OverviewPage /> },
  {
    key: "users",
    path: "users",
    permission: "user.read",
    show: ([id]) => (id === undefined ? <UsersPage /> : <UserPage key={id} id={id} />),
  },
  { key: "log", path: "log", permission: "event.read", show: () => <LogPage /> },
  { key: "attack", path: "attack", permission: "event.read", show: () => <AttackPage /> },
  { key: "policy", path: "policy", permission: "user.read", show: () => <PolicyPage /> },
  { key: "tokens", path: "tokens", permission: "access.write", show: () => <TokensPage /> },
];
