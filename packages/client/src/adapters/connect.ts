import { Code, ConnectError, type ContextKey, createContextKey, type Interceptor } from "@connectrpc/connect";
import type { Guard, Identity } from "../guard/guard.ts";
import { type AdapterOptions, admit, checkArguments, isRefused } from "./admission.ts";

/** Whose token a call has: `context.values.get(identity)` in a handler. */
export const identity: ContextKey<Identity | undefined> = createContextKey<Identity | undefined>(undefined, {
  description: "@userlock/client",
});

/** An interceptor for servers of Connect. It refuses calls and streams without a good token. */
export function userlock(guard: Guard, options: AdapterOptions = {}): Interceptor {
  checkArguments(guard, options);
  return (next) => async (request) => {
    const admitted = await admit(guard, (name) => request.header.get(name) ?? undefined, options);
    if (isRefused(admitted)) {
      const code = admitted.status === 401 ? Code.Unauthenticated : Code.Unavailable;
      throw new ConnectError(admitted.body.message, code, admitted.headers);
    }
    request.contextValues.set(identity, admitted);
    return next(request);
  };
}
