import org.springframework.security.oauth2.server.resource.introspection.*;

class Introspection {
  /** The id is the subject of a userlock token, and the secret is the token. */
  static OpaqueTokenIntrospector introspector(String url, String id, String secret) {
    return new SpringOpaqueTokenIntrospector(url + "/oauth/v2/introspect", id, secret);
  }
}
