import {
  create,
  type DescMessage,
  type DescMethodUnary,
  fromBinary,
  type Message,
  type MessageInitShape,
  toBinary,
  toJsonString,
} from "@bufbuild/protobuf";
import { Code, ConnectError } from "@connectrpc/connect";
import { createGrpcWebTransport } from "@connectrpc/connect-web";
import { Client, credentials, Metadata, type ServiceError, status } from "@grpc/grpc-js";
import { ErrorInfoSchema } from "../../../gen/google/rpc/error_details_pb.ts";
import { StatusSchema } from "../../../gen/google/rpc/status_pb.ts";
import { UserService } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { createShow } from "./show.ts";

const USER = "alice";
const { lockUser, unlockUser } = UserService.method;

type Step = { method: DescMethodUnary; title: string; succeeds: boolean };

const STEPS: Step[] = [
  { method: lockUser, title: "Lock the user", succeeds: true },
  { method: lockUser, title: "Lock the user again: refused", succeeds: false },
  { method: unlockUser, title: "Unlock the user", succeeds: true },
];

/** A protocol: prints and sends the request, prints the answer, and returns whether it was a success. */
type Protocol = (step: Step) => Promise<boolean>;

/**
 * Creates a user, then locks, locks again and unlocks the user over each protocol. Prints every request and answer. Throws
 * if an answer is unexpected.
 */
export async function runDemo(url: string, token: string, print: (line: string) => void): Promise<void> {
  const show = createShow(url, token, print);
  const authorization = `Bearer ${token}`;

  const grpc = new Client(new URL(url).host, credentials.createInsecure());
  const web = createGrpcWebTransport({ baseUrl: url, useBinaryFormat: true });

  const post = async (path: string, body: object) => (await show.call("POST", path, body)).ok;

  const protocols: Record<string, Protocol> = {
    "REST (curl, anything)": ({ method }) => {
      const action = method === lockUser ? "_lock" : "_unlock";
      return post(`/resources/v3alpha/users/${USER}/${action}`, method === lockUser ? { reason: "fraud" } : {});
    },
    "Connect, JSON (scripts, SDKs)": ({ method }) =>
      post(`/${method.parent.typeName}/${method.name}`, {
        id: USER,
        ...(method === lockUser && { reason: "fraud" }),
      }),
    "gRPC, with @grpc/grpc-js (backend services)": async ({ method }) => {
      const request = requestOf(method);
      show.sent(`${method.parent.typeName}/${method.name} ${toJsonString(method.input, request)}`);
      const metadata = new Metadata();
      metadata.set("authorization", authorization);
      const { response, error } = await unary(grpc, method, request, metadata);
      if (response) show.received(`OK ${toJsonString(method.output, response)}`);
      if (error) show.received(`${status[error.code]} ${reasonOf(error)}: ${error.details}`);
      return response !== undefined;
    },
    "gRPC-Web, with @connectrpc/connect-web (browsers)": async ({ method }) => {
      const request = requestOf(method);
      show.sent(`client.${method.localName}(${toJsonString(method.input, request)})`);
      try {
        const { message } = await web.unary(method, undefined, undefined, { authorization }, request);
        show.received(`OK ${toJsonString(method.output, message)}`);
        return true;
      } catch (error) {
        const { code, rawMessage } = ConnectError.from(error);
        const [info] = ConnectError.from(error).findDetails(ErrorInfoSchema);
        show.received(`${Code[code]} ${info?.reason}: ${rawMessage}`);
        return false;
      }
    },
  };

  try {
    show.heading("Create a user");
    expectOutcome(await post("/resources/v3alpha/users", { userId: USER }), true, "creating the user");
    for (const [name, call] of Object.entries(protocols)) {
      show.heading(name);
      for (const step of STEPS) {
        show.step(step.title);
        expectOutcome(await call(step), step.succeeds, `${name}: ${step.title}`);
      }
    }
  } finally {
    grpc.close();
  }
}

function requestOf(method: DescMethodUnary): Message {
  return create(method.input, {
    id: USER,
    ...(method === lockUser && { reason: "fraud" }),
  } as MessageInitShape<DescMessage>);
}

function unary(client: Client, method: DescMethodUnary, request: Message, metadata: Metadata) {
  return new Promise<{ response?: Message; error?: ServiceError }>((resolve) => {
    client.makeUnaryRequest(
      `/${method.parent.typeName}/${method.name}`,
      (message: Message) => Buffer.from(toBinary(method.input, message)),
      (bytes: Buffer) => fromBinary(method.output, bytes),
      request,
      metadata,
      (error, response) => resolve(error ? { error } : response ? { response } : {}),
    );
  });
}

function reasonOf({ metadata }: ServiceError): string {
  const [packed] = metadata.get("grpc-status-details-bin") as Buffer[];
  const details = packed ? fromBinary(StatusSchema, packed).details : [];
  const info = details.find(({ typeUrl }) => typeUrl.endsWith(ErrorInfoSchema.typeName));
  return info ? fromBinary(ErrorInfoSchema, info.value).reason : "";
}

/** Throws if an answer is unexpected. */
export function expectOutcome(actual: boolean, wanted: boolean, what: string): void {
  if (actual !== wanted) throw new Error(`${what}: unexpected answer`);
}
