package headrace;

import java.io.DataInputStream;
import java.io.DataOutputStream;
import java.io.EOFException;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import org.apache.flume.Context;
import org.apache.flume.Event;
import org.apache.flume.event.EventBuilder;
import org.apache.flume.interceptor.Interceptor;
import org.apache.flume.serialization.DecodeErrorPolicy;
import org.apache.flume.serialization.EventDeserializer;
import org.apache.flume.serialization.PositionTracker;
import org.apache.flume.serialization.ResettableFileInputStream;

/**
 * Reads files with our deserializer and names them with our interceptor, as tests ask on standard input; see
 * tests/support/block_java.py, which asks.
 */
public class DeserializerLoop {
  public static void main(String[] arguments) throws IOException {
    DataInputStream in = new DataInputStream(new FileInputStream(FileDescriptor.in));
    DataOutputStream out = new DataOutputStream(new FileOutputStream(FileDescriptor.out));
    while (true) {
      String what;
      try {
        what = text(in);
      } catch (EOFException end) {
        return;
      }
      String answer;
      List events = new ArrayList();
      try {
        if ("cut".equals(what)) {
          cut(text(in), in.readInt(), in.readInt(), in.readInt(), in.readInt(), in.readInt(), events);
        } else {
          name(text(in), text(in), events);
        }
        answer = "";
      } catch (Exception e) {
        answer = e.toString();
      }
      send(out, answer);
      out.writeInt(events.size());
      for (Iterator each = events.iterator(); each.hasNext();) {
        Event event = (Event) each.next();
        send(out, header(event, "headrace.file"));
        send(out, header(event, "headrace.size"));
        send(out, header(event, "headrace.position"));
        send(out, header(event, "headrace.length"));
        out.writeInt(event.getBody().length);
        out.write(event.getBody());
      }
      out.flush();
    }
  }

  /**
   * Reads a file in batches, of which each n-th is rolled back and read again: then it must be the same. With
   * {@code truncated} from 0 the file is cut to that size once it is open.
   */
  private static void cut(
      String path, int blockBytes, int maxLineBytes, int batch, int rollback, int truncated, List all)
      throws IOException {
    Context context = new Context();
    context.put("blockBytes", String.valueOf(blockBytes));
    context.put("maxLineBytes", String.valueOf(maxLineBytes));
    ResettableFileInputStream stream = new ResettableFileInputStream(new File(path), new InMemory(),
        ResettableFileInputStream.DEFAULT_BUF_SIZE, StandardCharsets.UTF_8, DecodeErrorPolicy.FAIL);
    if (truncated >= 0) {
      RandomAccessFile file = new RandomAccessFile(path, "rw");
      file.setLength((long) truncated);
      file.close();
    }
    EventDeserializer deserializer = new BlockDeserializer.Builder().build(context, stream);
    try {
      for (int number = 1;; number++) {
        List events = deserializer.readEvents(batch);
        if (rollback > 0 && number % rollback == 0) {
          deserializer.reset();
          List again = deserializer.readEvents(batch);
          if (again.size() != events.size()) {
            throw new IOException("after a rollback " + again.size() + " events, before " + events.size());
          }
          events = again;
        }
        if (events.isEmpty()) {
          return;
        }
        all.addAll(events);
        deserializer.mark();
      }
    } finally {
      deserializer.close();
    }
  }

  private static void name(String folder, String path, List all) {
    Context context = new Context();
    context.put("spoolFolder", folder);
    context.put("pathHeader", "where");
    PlaceInterceptor.Builder builder = new PlaceInterceptor.Builder();
    builder.configure(context);
    Interceptor interceptor = builder.build();
    Event event = EventBuilder.withBody(new byte[1]);
    event.getHeaders().put("where", path);
    event.getHeaders().put("headrace.position", "0");
    all.add(interceptor.intercept(event));
  }

  private static String header(Event event, String name) {
    String value = (String) event.getHeaders().get(name);
    return value == null ? "" : value;
  }

  private static String text(DataInputStream in) throws IOException {
    byte[] bytes = new byte[in.readInt()];
    in.readFully(bytes);
    return new String(bytes, StandardCharsets.UTF_8);
  }

  private static void send(DataOutputStream out, String text) throws IOException {
    byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
    out.writeInt(bytes.length);
    out.write(bytes);
  }

  /** Keeps the mark of a stream; Flume's own trackers write a file. */
  private static class InMemory implements PositionTracker {
    private long position;

    public void storePosition(long newPosition) {
      position = newPosition;
    }

    public long getPosition() {
      return position;
    }

    public String getTarget() {
      return "";
    }

    public void close() {}
  }
}
