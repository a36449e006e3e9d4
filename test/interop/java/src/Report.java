import com.google.gson.Gson;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Map;
import java.util.Objects;

/** A line of JSON for each check. */
class Report {
  interface Check {
    void run() throws Exception;
  }

  static void run(String name, Check check) {
    try {
      check.run();
      print(Map.of("check", name));
    } catch (Throwable error) {
      StringWriter text = new StringWriter();
      error.printStackTrace(new PrintWriter(text));
      print(Map.of("check", name, "error", text.toString()));
    }
  }

  static void print(Map<String, String> line) {
    System.out.println(new Gson().toJson(line));
  }

  static void expect(Object value, Object expected) {
    if (!Objects.equals(value, expected)) throw new AssertionError(value + " is not " + expected);
  }
}
