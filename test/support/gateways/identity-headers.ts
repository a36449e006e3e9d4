import { create } from "@bufbuild/protobuf";
import { AuthorizeResponseSchema } from "../../../gen/userlock/v3alpha/authz_service_pb.ts";
import { identityHeaders } from "../../../src/rpc/gateways.ts";

/** The names of the headers for the app behind a gateway, in lower case. */
export const IDENTITY_HEADERS: readonly string[] = Object.keys(identityHeaders(create(AuthorizeResponseSchema)));
