import static java.util.concurrent.TimeUnit.SECONDS;

import com.google.common.util.concurrent.ListenableFuture;
import com.userlock.v3alpha.*;
import com.userlock.v3alpha.UserServiceGrpc.UserServiceBlockingStub;
import io.grpc.*;
import java.io.File;
import java.util.*;
import java.util.function.Function;
import java.util.stream.IntStream;

/** Checks the program of the documentation, and what channels of grpc-java do. */
class Checks {
  static final int CALLS_AT_ONCE = 1_000;
  static final int PINGING_SECONDS = 60;
  /** The least that grpc-java allows. */
  static final int PING_EVERY_SECONDS = 10;

  static ManagedChannel channel;
  static UserServiceBlockingStub users;

  public static void main(String[] args) throws Exception {
    channel = Calls.open("ADDRESS");
    users = UserServiceGrpc.newBlockingStub(channel);
    Thread pinging = new Thread(() -> Report.run("keeps its connection with pings for 60 seconds", Checks::pings));
    pinging.start();
    Report.run("locks a user, and reads from ErrorInfo why a second lock is refused", Checks::locksOnce);
    Report.run("reads from ErrorInfo that the token is missing", Checks::isRefusedWithoutToken);
    Report.run("gets each lock once from a stream that resumes after a cursor", Checks::resumes);
    Report.run("watches on a connection of its own", Checks::watchesApart);
    Report.run("ends a call and a stream at their deadlines", Checks::meetsDeadlines);
    Report.run("sends and reads messages in gzip", Checks::compresses);
    Report.run("reads from ErrorInfo that a message is too large, and calls again", Checks::isRefusedAboveTheLimit);
    Report.run("locks a user over TLS, and trusts no other certificate", Checks::usesTls);
    Report.run("makes 1,000 calls at once on one channel", Checks::callsAtOnce);
    pinging.join();
    // Streams that were left open would keep the process.
    System.exit(0);
  }

  static void locksOnce() throws Exception {
    String id = Calls.add(users);
    Report.expect(Client.lock(users, id, "fraud").getDetails().getId(), id);
    Report.expect(Calls.get(users, id).getState(), State.USER_STATE_LOCKED);
    List<String> refusal = Calls.refusal(() -> Client.lock(users, id, "fraud"));
    Report.expect(refusal, List.of("FAILED_PRECONDITION", "USER_ALREADY_LOCKED"));
  }

  static void isRefusedWithoutToken() throws Exception {
    ManagedChannel bare = Grpc.newChannelBuilder(System.getenv("ADDRESS"), InsecureChannelCredentials.create()).build();
    List<String> refusal = Calls.refusal(() -> Calls.get(UserServiceGrpc.newBlockingStub(bare), "someone"));
    Report.expect(refusal, List.of("UNAUTHENTICATED", "TOKEN_MISSING"));
  }

  static void resumes() throws Exception {
    var events = EventServiceGrpc.newBlockingStub(Calls.open("ADDRESS"));
    String first = Calls.add(users);
    String second = Calls.add(users);
    String third = Calls.add(users);
    Client.lock(users, first, "fraud");
    String cursor = Calls.take(events, "0", Set.of(first)).get(0).getCursor();
    Client.lock(users, second, "fraud");
    new Timer(true).schedule(new TimerTask() {
      @Override
      public void run() {
        Client.lock(users, third, "fraud");
      }
    }, 500);
    List<Event> taken = Calls.take(events, cursor, Set.of(second, third));
    Report.expect(taken.stream().map(Event::getUserId).toList(), List.of(second, third));
    Report.expect(taken.get(0).getLock().getReason(), "fraud");
  }

  static void watchesApart() throws Exception {
    var calls = UserServiceGrpc.newBlockingStub(Calls.open("WATCHED_ADDRESS"));
    var watching = EventServiceGrpc.newBlockingStub(Calls.open("WATCHED_ADDRESS"));
    String id = Calls.add(calls);
    Client.lock(calls, id, "fraud");
    Report.expect(Calls.take(watching, "0", Set.of(id)).get(0).getUserId(), id);
  }

  static void meetsDeadlines() throws Exception {
    var held = UserServiceGrpc.newBlockingStub(Calls.open("HELD_ADDRESS"));
    LockUserRequest request = LockUserRequest.newBuilder().setId(System.getenv("HELD_USER")).build();
    Report.expect(Calls.refusal(() -> held.withDeadlineAfter(1, SECONDS).lockUser(request)).get(0), "DEADLINE_EXCEEDED");
    var stream = EventServiceGrpc.newBlockingStub(channel)
        .withDeadlineAfter(1, SECONDS)
        .watchEvents(WatchEventsRequest.newBuilder().addUserIds("someone").build());
    Report.expect(stream.next().hasEvent(), false);
    Report.expect(Calls.refusal(stream::next).get(0), "DEADLINE_EXCEEDED");
  }

  static void compresses() throws Exception {
    var zipping = UserServiceGrpc.newBlockingStub(Calls.open("GZIP_ADDRESS")).withCompression("gzip");
    String text = "x".repeat(2_000);
    GetUser user = Calls.get(zipping, Calls.add(zipping, text));
    Report.expect(user.getData().getFieldsOrThrow("text").getStringValue(), text);
  }

  static void isRefusedAboveTheLimit() throws Exception {
    String id = Calls.add(users);
    for (int size : new int[] {70_000, 8_000_000}) {
      List<String> refusal = Calls.refusal(() -> Client.lock(users, id, "x".repeat(size)));
      Report.expect(refusal, List.of("RESOURCE_EXHAUSTED", "TOO_LARGE"));
    }
    Client.lock(users, id, "fraud");
  }

  static void usesTls() throws Exception {
    String address = System.getenv("TLS_ADDRESS");
    ChannelCredentials trusting =
        TlsChannelCredentials.newBuilder().trustManager(new File(System.getenv("CA_FILE"))).build();
    var secure = UserServiceGrpc.newBlockingStub(Client.channel(address, trusting).build());
    Client.lock(secure, Calls.add(secure), "fraud");
    // Without the service config, because that waits for a good certificate.
    ManagedChannel other = Grpc.newChannelBuilder(address, TlsChannelCredentials.create()).build();
    List<String> refusal = Calls.refusal(() -> Calls.get(UserServiceGrpc.newBlockingStub(other), "someone"));
    Report.expect(refusal, List.of("UNAVAILABLE"));
  }

  static void callsAtOnce() throws Exception {
    var many = UserServiceGrpc.newFutureStub(Calls.open("ADDRESS")).withDeadlineAfter(60, SECONDS);
    List<String> ids = IntStream.range(0, CALLS_AT_ONCE).mapToObj(index -> UUID.randomUUID().toString()).toList();
    Report.expect(
        all(ids, id -> many.createUser(Calls.creation(id))).stream().map(answer -> answer.getDetails().getId()).toList(), ids);
    Report.expect(
        all(ids, id -> many.lockUser(LockUserRequest.newBuilder().setId(id).build())).stream()
            .map(answer -> answer.getDetails().getId())
            .toList(),
        ids);
  }

  /** Calls for all ids at once, and waits for the answers. */
  static <T> List<T> all(List<String> ids, Function<String, ListenableFuture<T>> call) throws Exception {
    List<T> answers = new ArrayList<>();
    for (ListenableFuture<T> future : ids.stream().map(call).toList()) answers.add(future.get());
    return answers;
  }

  static void pings() throws Exception {
    var pinging = UserServiceGrpc.newBlockingStub(
        Calls.builder("PINGED_ADDRESS").keepAliveTime(PING_EVERY_SECONDS, SECONDS).keepAliveWithoutCalls(true).build());
    String id = Calls.add(pinging);
    Thread.sleep(PINGING_SECONDS * 1_000);
    Report.expect(Calls.get(pinging, id).getState(), State.USER_STATE_ACTIVE);
  }
}
