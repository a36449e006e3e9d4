import { Metadata, ServerInterceptingCall, type ServerInterceptor, ServerListenerBuilder, status } from "@grpc/grpc-js";
import type { Guard, Identity } from "../guard/guard.ts";
import { type AdapterOptions, admit, checkArguments, isRefused, UNAVAILABLE } from "./admission.ts";

/** By the metadata of a call, which its handler has, too. */
const identities = new WeakMap<Metadata, Identity>();

/** Whose token a call has, in a handler: `identityOf(call)`. Undefined without the interceptor. */
export function identityOf(call: { metadata: Metadata }): Identity | undefined {
  return identities.get(call.metadata);
}

/** An interceptor for servers of grpc-js: `new Server({ interceptors: [userlock(guard)] })`. */
export function userlock(guard: Guard, options: AdapterOptions = {}): ServerInterceptor {
  checkArguments(guard, options);
  return (_method, call) => {
    let isOver = false;
    const listener = new ServerListenerBuilder()
      .withOnReceiveMetadata((metadata, next) => {
        const header = (name: string) => metadata.get(name)[0]?.toString();
        admit(guard, header, options)
          // The guard of an app may reject. A call without a status would never end.
          .catch(() => UNAVAILABLE)
          .then((admitted) => {
            if (isOver) return;
            if (!isRefused(admitted)) {
              identities.set(metadata, admitted);
              next(metadata);
              return;
            }
            const code = admitted.status === 401 ? status.UNAUTHENTICATED : status.UNAVAILABLE;
            const trailer = new Metadata();
            for (const [name, value] of Object.entries(admitted.headers)) trailer.set(name, value);
            call.sendStatus({ code, details: admitted.body.message, metadata: trailer });
          });
      })
      .withOnCancel(() => {
        isOver = true;
      })
      .build();
    return new ServerInterceptingCall(call, { start: (next) => next(listener) });
  };
}
