import { create, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { type CreateUserRequest, CreateUserRequestSchema } from "../../../gen/userlock/v3alpha/user_service_pb.ts";
import { organization } from "../request.ts";

/** What can be said of a new user, as texts and flags. */
export interface NewUser {
  id?: string | undefined;
  organization?: string | undefined;
  usernames?: string[];
  email?: string | undefined;
  emailVerified?: boolean | undefined;
  phone?: string | undefined;
  phoneVerified?: boolean | undefined;
  password?: string | undefined;
  passwordHash?: string | undefined;
  changeRequired?: boolean | undefined;
  schemaId?: string | undefined;
  schemaType?: string | undefined;
  data?: JsonObject | undefined;
}

/** The request that creates the user. */
export function createRequest(user: NewUser): CreateUserRequest {
  const { id, email, phone, password, passwordHash, data } = user;
  const vouched = (isVerified = false) => ({ verification: { case: "isVerified" as const, value: isVerified } });
  const type =
    password !== undefined
      ? { case: "password" as const, value: password }
      : passwordHash !== undefined
        ? { case: "hash" as const, value: passwordHash }
        : undefined;
  const request: MessageInitShape<typeof CreateUserRequestSchema> = {
    ...organization(user.organization),
    user: {
      ...(id !== undefined && { userId: id }),
      schemaId: user.schemaId ?? "",
      schemaType: user.schemaType ?? "",
      ...(data !== undefined && { data }),
      contact: {
        ...(email !== undefined && { email: { address: email, ...vouched(user.emailVerified) } }),
        ...(phone !== undefined && { phone: { number: phone, ...vouched(user.phoneVerified) } }),
      },
      authenticators: {
        usernames: (user.usernames ?? []).map((username) => ({ username })),
        ...(type && { password: { type, changeRequired: user.changeRequired ?? false } }),
      },
    },
  };
  return create(CreateUserRequestSchema, request);
}
