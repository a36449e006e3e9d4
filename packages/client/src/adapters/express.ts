import type { IncomingMessage, ServerResponse } from "node:http";
import type { Guard, Identity } from "../guard/guard.ts";
import { type AdapterOptions, admit, checkArguments, isRefused } from "./admission.ts";

declare global {
  namespace Express {
    interface Request {
      /** Whose token the request has, behind the middleware of a guard. */
      userlock?: Identity;
    }
  }
}

/** A middleware of Express, and of anything with the same signature. */
export type Middleware = (
  request: IncomingMessage & { userlock?: Identity },
  response: ServerResponse,
  next: (error?: unknown) => void,
) => void;

/** Refuses requests without a good token, and sets `request.userlock` on the others. */
export function userlock(guard: Guard, options: AdapterOptions = {}): Middleware {
  checkArguments(guard, options);
  return (request, response, next) => {
    admit(guard, (name) => request.headers[name], options).then((admitted) => {
      if (isRefused(admitted)) {
        const { status, headers, body } = admitted;
        response.writeHead(status, { ...headers, "content-type": "application/json" }).end(JSON.stringify(body));
        return;
      }
      request.userlock = admitted;
      next();
    }, next);
  };
}
