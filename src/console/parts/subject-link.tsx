import { pathTo } from "../core/router.ts";
import { can } from "../core/session.ts";

/** The subject of a caller, with a link to what they did. */
export function SubjectLink({ subject }: { subject: string }) {
  if (subject === "") return <>–</>;
  if (!can("event.read")) return <>{subject}</>;
  return <a href={`${pathTo("log")}?${new URLSearchParams({ actor: subject })}`}>{subject}</a>;
}
