import { pathTo } from "../core/router.ts";
import { can } from "../core/session.ts";

/** The id of a user, with a link to their page. */
export function UserLink({ id }: { id: string }) {
  if (id === "") return <>–</>;
  if (!can("user.read")) return <>{id}</>;
  return <a href={pathTo("users", id)}>{id}</a>;
}
