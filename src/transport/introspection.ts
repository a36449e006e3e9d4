import { create } from "@bufbuild/protobuf";
import {
  IntrospectTokenRequestSchema,
  type IntrospectTokenResponse,
  SessionService,
} from "../../gen/userlock/v3alpha/session_service_pb.ts";
import { refusal } from "../rpc/errors.ts";
import type { Call, Pipeline } from "../rpc/invoke.ts";
import { MAX_MESSAGE_BYTES, readWhole } from "./body.ts";
import type { Answer, Exchange } from "./exchange.ts";
import type { Limits } from "./limits.ts";
import { plainAnswer, statusAnswer, wrongVerb } from "./status.ts";

/** Token introspection as other servers of the field do it: a form in, JSON out (RFC 7662). */
export type IntrospectionDoor = (exchange: Exchange, path: string, call: Call) => Promise<Answer> | Answer | undefined;

const PATH = "/oauth/v2/introspect";
const FORM = "application/x-www-form-urlencoded";

export function createIntrospectionDoor(pipeline: Pipeline, { bodyMs }: Pick<Limits, "bodyMs">): IntrospectionDoor {
  async function answer(exchange: Exchange, call: Call): Promise<Answer> {
    try {
      const admitted = await pipeline.admit(SessionService.method.introspectToken, call);
      const type = exchange.headers["content-type"] ?? "(none)";
      if (type.split(";")[0]?.trim().toLowerCase() !== FORM) {
        return statusAnswer(refusal("INVALID_REQUEST", `The body must be a form: send "Content-Type: ${FORM}".`), 415);
      }
      const bytes = await readWhole(exchange.content(), MAX_MESSAGE_BYTES, bodyMs);
      const token = new URLSearchParams(bytes.toString("utf8")).get("token") ?? "";
      const response = await admitted(create(IntrospectTokenRequestSchema, { token }));
      return plainAnswer(200, { "content-type": "application/json" }, toJson(response as never));
    } catch (error) {
      return statusAnswer(pipeline.explain(error, call));
    }
  }

  return (exchange, path, call) => {
    if (path !== PATH) return undefined;
    return exchange.verb === "POST" ? answer(exchange, call) : wrongVerb(["POST"]);
  };
}

/** Numbers are numbers here, not texts as in ProtoJSON; of a token that is not good nothing else is told. */
function toJson({ active, sub, username, iat, exp, iss }: IntrospectTokenResponse): string {
  const told = active ? { active, sub, username, iat: Number(iat), exp: Number(exp), iss } : { active };
  return `${JSON.stringify(told)}\n`;
}
