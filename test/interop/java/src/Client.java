import com.google.gson.Gson;
import com.google.gson.reflect.TypeToken;
import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import com.userlock.v3alpha.*;
import io.grpc.*;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import java.io.IOException;
import java.nio.file.*;
import java.util.*;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;

class Client {
  static final ClientInterceptor AUTHORIZATION = header("authorization", "Bearer " + System.getenv("TOKEN"));

  static ClientInterceptor header(String name, String value) {
    Metadata headers = new Metadata();
    headers.put(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER), value);
    return MetadataUtils.newAttachHeadersInterceptor(headers);
  }

  /** Takes "host:port". With TLS, the credentials are TlsChannelCredentials.create(). */
  static ManagedChannelBuilder<?> channel(String address, ChannelCredentials credentials) throws IOException {
    String config = Files.readString(Path.of("service-config.json"));
    return Grpc.newChannelBuilder(address, credentials)
        .defaultServiceConfig(new Gson().fromJson(config, new TypeToken<Map<String, Object>>() {}))
        .intercept(AUTHORIZATION);
  }

  /** Locks a user. The key makes it one lock, even if gRPC makes the call again. */
  static LockUserResponse lock(UserServiceGrpc.UserServiceBlockingStub users, String id, String reason) {
    return users
        .withInterceptors(header("idempotency-key", UUID.randomUUID().toString()))
        .withDeadlineAfter(10, TimeUnit.SECONDS)
        .lockUser(LockUserRequest.newBuilder().setId(id).setReason(reason).build());
  }

  /** The reason of an error, such as USER_ALREADY_LOCKED. */
  static String reasonOf(StatusRuntimeException error) throws InvalidProtocolBufferException {
    for (Any detail : StatusProto.fromThrowable(error).getDetailsList())
      if (detail.is(ErrorInfo.class)) return detail.unpack(ErrorInfo.class).getReason();
    return null;
  }

  /** Handles each lock after the cursor, until the server refuses. It goes on after a restart. */
  static void watch(EventServiceGrpc.EventServiceBlockingStub events, String cursor, Consumer<Event> handle)
      throws InterruptedException {
    for (; ; Thread.sleep(1_000)) {
      try {
        var stream = events.watchEvents(WatchEventsRequest.newBuilder().setAfter(cursor).addTypes("user.locked").build());
        while (stream.hasNext()) {
          WatchEventsResponse message = stream.next();
          if (message.hasEvent()) handle.accept(message.getEvent());
          cursor = message.getCursor();
        }
      } catch (StatusRuntimeException error) {
        if (!Set.of(Status.Code.UNAVAILABLE, Status.Code.RESOURCE_EXHAUSTED).contains(error.getStatus().getCode()))
          throw error;
      }
    }
  }

  public static void main(String[] args) throws Exception {
    ManagedChannel calls = channel("127.0.0.1:8080", InsecureChannelCredentials.create()).build();
    try {
      var response = lock(UserServiceGrpc.newBlockingStub(calls), "alice", "fraud");
      System.out.println("locked at " + response.getDetails().getChanged().getSeconds());
    } catch (StatusRuntimeException error) {
      System.out.println("refused: " + reasonOf(error) + " " + error.getMessage());
    }
    // A channel of its own.
    ManagedChannel watching = channel("127.0.0.1:8080", InsecureChannelCredentials.create()).build();
    watch(EventServiceGrpc.newBlockingStub(watching), "0", event -> System.out.println(event.getUserId() + " was locked"));
  }
}
