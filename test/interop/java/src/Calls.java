import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import com.userlock.v3alpha.*;
import com.userlock.v3alpha.EventServiceGrpc.EventServiceBlockingStub;
import com.userlock.v3alpha.UserServiceGrpc.UserServiceBlockingStub;
import io.grpc.*;
import java.io.IOException;
import java.util.*;
import java.util.concurrent.TimeUnit;

/** Calls that checks make beside those of the documentation. */
class Calls {
  /** A channel to the address that the test passes as an environment variable. */
  static ManagedChannel open(String name) throws IOException {
    return builder(name).build();
  }

  static ManagedChannelBuilder<?> builder(String name) throws IOException {
    return Client.channel(System.getenv(name), InsecureChannelCredentials.create());
  }

  static CreateUserRequest creation(String id) {
    return CreateUserRequest.newBuilder().setUser(CreateUser.newBuilder().setUserId(id)).build();
  }

  static String add(UserServiceBlockingStub users) {
    return add(users, Struct.getDefaultInstance());
  }

  static String add(UserServiceBlockingStub users, String text) {
    Value value = Value.newBuilder().setStringValue(text).build();
    return add(users, Struct.newBuilder().putFields("text", value).build());
  }

  private static String add(UserServiceBlockingStub users, Struct data) {
    CreateUser user = CreateUser.newBuilder().setUserId(UUID.randomUUID().toString()).setData(data).build();
    return keyed(users).createUser(CreateUserRequest.newBuilder().setUser(user).build()).getDetails().getId();
  }

  static GetUser get(UserServiceBlockingStub users, String id) {
    return users.withDeadlineAfter(30, TimeUnit.SECONDS).getUser(GetUserRequest.newBuilder().setId(id).build()).getUser();
  }

  static void unlock(UserServiceBlockingStub users, String id) {
    keyed(users).unlockUser(UnlockUserRequest.newBuilder().setId(id).build());
  }

  private static UserServiceBlockingStub keyed(UserServiceBlockingStub users) {
    return users
        .withInterceptors(Client.header("idempotency-key", UUID.randomUUID().toString()))
        .withDeadlineAfter(30, TimeUnit.SECONDS);
  }

  /** The code and the reason of the error of a call. */
  static List<String> refusal(Report.Check call) throws Exception {
    try {
      call.run();
      return List.of("OK");
    } catch (StatusRuntimeException error) {
      String code = error.getStatus().getCode().name();
      String reason = Client.reasonOf(error);
      return reason == null ? List.of(code) : List.of(code, reason);
    }
  }

  /** The next events about the users after the cursor, as many as there are users. */
  static List<Event> take(EventServiceBlockingStub events, String cursor, Set<String> ids) throws InterruptedException {
    class Enough extends RuntimeException {}
    List<Event> taken = new ArrayList<>();
    try {
      Client.watch(
          events,
          cursor,
          event -> {
            if (ids.contains(event.getUserId())) taken.add(event);
            if (taken.size() == ids.size()) throw new Enough();
          });
    } catch (Enough enough) {
      // As many as there are users.
    }
    return taken;
  }
}
