import type { MiddlewareHandler } from "hono";
import type { Guard, Identity } from "../guard/guard.ts";
import { type AdapterOptions, admit, checkArguments, isRefused } from "./admission.ts";

/** Refuses requests without a good token, and sets the variable `userlock` of the others: `context.get("userlock")`. */
export function userlock(
  guard: Guard,
  options: AdapterOptions = {},
): MiddlewareHandler<{ Variables: { userlock: Identity } }> {
  checkArguments(guard, options);
  return async (context, next) => {
    const checked = await checkRequest(guard, context.req.raw, options);
    if (checked instanceof Response) return checked;
    context.set("userlock", checked);
    return next();
  };
}

/** Checks a request of any framework that has Web requests. Resolves with whose token it has, or with the response. */
export async function checkRequest(
  guard: Guard,
  request: Request,
  options: AdapterOptions = {},
): Promise<Identity | Response> {
  checkArguments(guard, options);
  const admitted = await admit(guard, (name) => request.headers.get(name) ?? undefined, options);
  if (!isRefused(admitted)) return admitted;
  return Response.json(admitted.body, { status: admitted.status, headers: admitted.headers });
}
