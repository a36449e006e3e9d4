import { create } from "@bufbuild/protobuf";
import { type Organization, OrganizationSchema } from "../../gen/userlock/v3alpha/user_service_pb.ts";

/** The field `organization` of a request; nothing without an id. */
export function organization(id: string | undefined): { organization?: Organization } {
  if (id === undefined) return {};
  return { organization: create(OrganizationSchema, { property: { case: "orgId", value: id } }) };
}
