import com.userlock.v3alpha.UserServiceGrpc;
import io.grpc.ManagedChannel;
import java.io.IOException;
import java.nio.file.*;
import java.util.*;
import org.springframework.boot.autoconfigure.security.oauth2.resource.OAuth2ResourceServerProperties;
import org.springframework.boot.context.properties.bind.Binder;
import org.springframework.core.env.*;
import org.springframework.core.io.FileSystemResource;
import org.springframework.core.io.support.ResourcePropertySource;
import org.springframework.security.oauth2.server.resource.introspection.*;

/** Checks that Spring's introspectors find a session active, and after a lock not. */
class IntrospectionChecks {
  static final String URL = System.getenv("URL");
  static final String SUBJECT = System.getenv("CLIENT_SUBJECT");
  static final String ID = System.getenv("CLIENT_ID");
  static final String SECRET = System.getenv("CLIENT_SECRET");
  static final String SESSION = System.getenv("SESSION_TOKEN");

  public static void main(String[] args) throws Exception {
    Map<String, OpaqueTokenIntrospector> introspectors = new LinkedHashMap<>();
    introspectors.put("the token's subject as client id", Introspection.introspector(URL, SUBJECT, SECRET));
    introspectors.put("the token's id as client id", Introspection.introspector(URL, ID, SECRET));
    introspectors.put("a client id and a secret that it encodes", encoding());
    introspectors.put("the properties of Spring Boot", configured(Path.of(args[0])));

    Map<String, String> subjects = new HashMap<>();
    Map<String, Throwable> failures = new HashMap<>();
    introspectors.forEach((name, introspector) -> {
      try {
        subjects.put(name, introspector.introspect(SESSION).getAttribute("sub"));
      } catch (OAuth2IntrospectionException error) {
        failures.put(name, error);
      }
    });
    ManagedChannel channel = Calls.open("ADDRESS");
    Client.lock(UserServiceGrpc.newBlockingStub(channel), System.getenv("USER"), "fraud");
    introspectors.forEach((name, introspector) -> Report.run("introspects a session with " + name, () -> {
      if (failures.containsKey(name)) throw new AssertionError(failures.get(name));
      Report.expect(subjects.get(name), System.getenv("USER"));
      try {
        introspector.introspect(SESSION);
      } catch (BadOpaqueTokenException notActive) {
        return;
      }
      throw new AssertionError("the session of a locked user is active");
    }));
    System.exit(0);
  }

  static OpaqueTokenIntrospector encoding() {
    return SpringOpaqueTokenIntrospector.withIntrospectionUri(URL + "/oauth/v2/introspect")
        .clientId(SUBJECT)
        .clientSecret(SECRET)
        .build();
  }

  /** As Spring Boot makes it from application.properties, with the address of the test. */
  static OpaqueTokenIntrospector configured(Path file) throws IOException {
    StandardEnvironment environment = new StandardEnvironment();
    String uri = "spring.security.oauth2.resourceserver.opaquetoken.introspection-uri";
    ResourcePropertySource properties = new ResourcePropertySource(new FileSystemResource(file));
    Report.expect(properties.containsProperty(uri), true);
    environment.getPropertySources().addLast(new MapPropertySource("test", Map.of(uri, URL + "/oauth/v2/introspect")));
    environment.getPropertySources().addLast(properties);
    var bound = Binder.get(environment)
        .bind("spring.security.oauth2.resourceserver", OAuth2ResourceServerProperties.class)
        .get()
        .getOpaquetoken();
    return new SpringOpaqueTokenIntrospector(bound.getIntrospectionUri(), bound.getClientId(), bound.getClientSecret());
  }
}
