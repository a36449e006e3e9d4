// A gRPC LockUser and a check for Envoy that do nothing, on @grpc/grpc-js.
import { type handleUnaryCall, Server, ServerCredentials } from "@grpc/grpc-js";
import { announce } from "./announce.ts";
import { type Answer, answerTo, checkMethod, lockUserMethod } from "./lock-user.ts";

const LockUser: handleUnaryCall<{ id: string }, Answer> = ({ request }, respond) => respond(null, answerTo(request.id));
const VERDICT = {
  status: { code: 0 },
  ok_response: { headers: [{ header: { key: "x-auth-request-user", value: "user" }, append_action: 2 }] },
};
const Check: handleUnaryCall<object, object> = (_call, respond) => respond(null, VERDICT);

const server = new Server({ "grpc.enable_channelz": 0 });
server.addService({ LockUser: lockUserMethod() }, { LockUser });
server.addService({ Check: checkMethod() }, { Check });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  announce({ port });
});
