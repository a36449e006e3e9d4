import com.userlock.v3alpha.*;
import io.grpc.*;
import java.util.*;
import java.util.concurrent.*;
import java.util.function.BooleanSupplier;

/** Locks and watches until stdin ends and some more users are locked. The test restarts the server meanwhile. */
class RestartChecks {
  static final int CALLERS = 8;
  static final Queue<String> locked = new ConcurrentLinkedQueue<>();
  static final Queue<String> watched = new ConcurrentLinkedQueue<>();
  static final Queue<String> errors = new ConcurrentLinkedQueue<>();
  static volatile boolean isEnding = false;

  public static void main(String[] args) throws Exception {
    ManagedChannel calls = Calls.open("ADDRESS");
    ManagedChannel watching = Calls.open("ADDRESS");
    ExecutorService threads = Executors.newFixedThreadPool(CALLERS);
    for (int index = 0; index < CALLERS; index++) threads.submit(() -> work(UserServiceGrpc.newBlockingStub(calls)));
    new Thread(() -> follow(EventServiceGrpc.newBlockingStub(watching))).start();
    waitUntil(() -> locked.size() > 5 * CALLERS);
    Report.print(Map.of("ready", "restart"));
    System.in.readAllBytes();
    int enough = locked.size() + 5 * CALLERS;
    waitUntil(() -> locked.size() > enough);
    Report.run("has no error while the server restarts", () -> {
      Report.expect(List.copyOf(errors), List.of());
      Report.expect(locked.size() > enough, true);
    });
    isEnding = true;
    threads.shutdown();
    threads.awaitTermination(60, TimeUnit.SECONDS);
    waitUntil(() -> watched.size() >= locked.size());
    Report.run("gets each lock once while the server restarts", () -> Report.expect(sorted(watched), sorted(locked)));
    System.exit(0);
  }

  static void work(UserServiceGrpc.UserServiceBlockingStub users) {
    while (!isEnding) {
      try {
        String id = Calls.add(users);
        Client.lock(users, id, "fraud");
        locked.add(id);
        Calls.unlock(users, id);
        Report.expect(Calls.get(users, id).getState(), State.USER_STATE_ACTIVE);
      } catch (Throwable error) {
        errors.add(error.toString());
      }
    }
  }

  static void follow(EventServiceGrpc.EventServiceBlockingStub events) {
    try {
      Client.watch(events, "0", event -> watched.add(event.getUserId()));
    } catch (Throwable error) {
      errors.add(error.toString());
    }
  }

  static void waitUntil(BooleanSupplier isDone) throws InterruptedException {
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(30);
    while (!isDone.getAsBoolean() && errors.isEmpty() && System.nanoTime() < end) Thread.sleep(50);
  }

  static List<String> sorted(Collection<String> ids) {
    return ids.stream().sorted().toList();
  }
}
