import { create } from "@bufbuild/protobuf";
import type { UniversalServerRequest, UniversalServerResponse } from "@connectrpc/connect/protocol";
import {
  IntrospectTokenRequestSchema,
  type IntrospectTokenResponse,
  SessionService,
} from "../../gen/userlock/v3alpha/session_service_pb.ts";
import { refusal } from "../rpc/errors.ts";
import type { Call, Pipeline } from "../rpc/invoke.ts";
import { readAll, withBodyDeadline } from "./body.ts";
import type { Limits } from "./limits.ts";
import { plainResponse, statusResponse, wrongVerb } from "./status.ts";

/** Token introspection as other servers of the field do it: a form in, JSON out (RFC 7662). */
export type IntrospectionDoor = (
  request: UniversalServerRequest,
  call: Call,
) => Promise<UniversalServerResponse> | UniversalServerResponse | undefined;

const PATH = "/oauth/v2/introspect";
const FORM = "application/x-www-form-urlencoded";

export function createIntrospectionDoor(pipeline: Pipeline, { bodyMs }: Pick<Limits, "bodyMs">): IntrospectionDoor {
  async function answer({ header, body }: UniversalServerRequest, call: Call): Promise<UniversalServerResponse> {
    try {
      const admitted = await pipeline.admit(SessionService.method.introspectToken, call);
      const type = header.get("content-type") ?? "(none)";
      if (type.split(";")[0]?.trim().toLowerCase() !== FORM) {
        return statusResponse(
          refusal("INVALID_REQUEST", `The body must be a form: send "Content-Type: ${FORM}".`),
          415,
        );
      }
      const bytes = await readAll(withBodyDeadline(body as AsyncIterable<Uint8Array>, () => bodyMs));
      const token = new URLSearchParams(Buffer.from(bytes).toString("utf8")).get("token") ?? "";
      const response = await admitted(create(IntrospectTokenRequestSchema, { token }));
      return plainResponse(200, new Headers({ "content-type": "application/json" }), toJson(response as never));
    } catch (error) {
      return statusResponse(pipeline.explain(error, call));
    }
  }

  return (request, call) => {
    if (new URL(request.url).pathname !== PATH) return undefined;
    return request.method === "POST" ? answer(request, call) : wrongVerb(["POST"]);
  };
}

/** Numbers are numbers here, not texts as in ProtoJSON; of a token that is not good nothing else is told. */
function toJson({ active, sub, username, iat, exp, iss }: IntrospectTokenResponse): string {
  const told = active ? { active, sub, username, iat: Number(iat), exp: Number(exp), iss } : { active };
  return `${JSON.stringify(told)}\n`;
}
