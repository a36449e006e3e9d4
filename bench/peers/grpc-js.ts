// A gRPC LockUser that does nothing, on @grpc/grpc-js.
import { type handleUnaryCall, Server, ServerCredentials } from "@grpc/grpc-js";
import { announce } from "./announce.ts";
import { type Answer, answerTo, lockUserMethod } from "./lock-user.ts";

const LockUser: handleUnaryCall<{ id: string }, Answer> = ({ request }, respond) => respond(null, answerTo(request.id));

const server = new Server({ "grpc.enable_channelz": 0 });
server.addService({ LockUser: lockUserMethod() }, { LockUser });
server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, port) => {
  if (error) throw error;
  announce({ port });
});
