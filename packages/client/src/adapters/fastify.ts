import type { FastifyPluginAsync } from "fastify";
import type { Guard, Identity } from "../guard/guard.ts";
import { type AdapterOptions, admit, checkArguments, isRefused } from "./admission.ts";

declare module "fastify" {
  interface FastifyRequest {
    /** Whose token the request has. Null outside the plugin's scope. */
    userlock: Identity | null;
  }
}

const plugin: FastifyPluginAsync<{ guard: Guard } & AdapterOptions> = async (app, { guard, ...options }) => {
  checkArguments(guard, options);
  app.decorateRequest("userlock", null);
  app.addHook("onRequest", async (request, reply) => {
    const admitted = await admit(guard, (name) => request.headers[name], options);
    if (!isRefused(admitted)) {
      request.userlock = admitted;
      return;
    }
    return reply.code(admitted.status).headers(admitted.headers).send(admitted.body);
  });
};

/**
 * Refuses requests without a good token, and sets `request.userlock` on the others:
 * `app.register(userlock, { guard })`. It guards all routes of the scope in which it is registered.
 */
export const userlock = Object.assign(plugin, {
  // Hooks concern the scope of `register`, and not one of the plugin's own.
  [Symbol.for("skip-override")]: true,
  [Symbol.for("fastify.display-name")]: "@userlock/client",
});
