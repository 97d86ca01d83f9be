package headrace;

import java.io.File;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Iterator;
import java.util.List;
import java.util.Map;
import org.apache.flume.Context;
import org.apache.flume.Event;
import org.apache.flume.FlumeException;
import org.apache.flume.interceptor.Interceptor;

/**
 * Adds to each block the id and the size of its file: together with the block's position they are its place.
 *
 * <p>Why. A block that is read again, after a crash or from a restored channel, must be known again by whoever has
 * stored it. An id that is made up for each event, like a UUID, is another one then; the place is the same.
 *
 * <p>The promise. The file id is {@code <spool id>-<digest>}, each 32 lower-case hex characters. It is a function of
 * the spool folder's id, the file's base name, its size, its time of modification and its first and last 4096 bytes:
 * the same for a file that is read again, another one for another file under the same name.
 * {@code flume/agent/spool_id.py} computes the same in Python; tests/flume/agent/test_spool_id.py compares the two.
 *
 * <p>The file's path comes in the header that the source's {@code fileHeaderKey} names, and is removed from the event.
 * The digest is computed when a file's first block comes, and kept until another file's block does.
 *
 * <p>The traps. A name may be used again as soon as its file is deleted, so an equal path is not enough to keep the
 * digest: a block at position 0 computes it again. And Flume makes an event without a body from an empty file; it
 * stands for no line and is dropped here.
 *
 * <p>Written in the Java that Janino compiles (no lambdas, and casts in the place of generics), since the host may have
 * no JDK.
 */
public class PlaceInterceptor implements Interceptor {
  static final String FILE = "headrace.file";
  static final String SIZE = "headrace.size";
  static final String SPOOL_ID_FILE = ".headrace-spool-id";
  private static final int EDGE_BYTES = 4096;
  private static final int ID_CHARACTERS = 32;

  private final String spoolId;
  private final String pathHeader;
  private String path;
  private String fileId;
  private String size;

  PlaceInterceptor(String spoolId, String pathHeader) {
    this.spoolId = spoolId;
    this.pathHeader = pathHeader;
  }

  public void initialize() {}

  public void close() {}

  /** Returns the block with its place; null for the event of an empty file. */
  public Event intercept(Event event) {
    Map headers = event.getHeaders();
    String itsPath = (String) headers.remove(pathHeader);
    String position = (String) headers.get(BlockDeserializer.POSITION);
    if (position == null && event.getBody().length == 0) {
      return null;
    }
    if (position == null || itsPath == null) {
      throw new FlumeException("An event has no header " + (position == null ? BlockDeserializer.POSITION : pathHeader)
          + ": the source must use headrace.BlockDeserializer$Builder, fileHeader and this fileHeaderKey");
    }
    if (!itsPath.equals(path) || "0".equals(position)) {
      identify(itsPath);
    }
    headers.put(FILE, fileId);
    headers.put(SIZE, size);
    return event;
  }

  /** Returns the same list: the source counts what is left in it, so what is dropped must not stay there. */
  public List intercept(List events) {
    for (Iterator each = events.iterator(); each.hasNext();) {
      if (intercept((Event) each.next()) == null) {
        each.remove();
      }
    }
    return events;
  }

  private void identify(String newPath) {
    File file = new File(newPath);
    path = null;
    try {
      RandomAccessFile content = new RandomAccessFile(file, "r");
      try {
        long bytes = content.length();
        fileId = spoolId + "-" + digest(file.getName(), bytes, file.lastModified(), content);
        size = String.valueOf(bytes);
      } finally {
        content.close();
      }
    } catch (IOException e) {
      throw new FlumeException(newPath + ": the file cannot be read any more, so its blocks have no place", e);
    }
    path = newPath;
  }

  private static String digest(String name, long bytes, long modifiedMs, RandomAccessFile content) throws IOException {
    MessageDigest digest;
    try {
      digest = MessageDigest.getInstance("SHA-256");
    } catch (NoSuchAlgorithmException e) {
      throw new FlumeException("This Java has no SHA-256, which every Java should have", e);
    }
    digest.update((name + "\0" + bytes + "\0" + modifiedMs + "\0").getBytes(StandardCharsets.UTF_8));
    byte[] edge = new byte[(int) Math.min((long) EDGE_BYTES, bytes)];
    content.readFully(edge);
    digest.update(edge);
    content.seek(bytes - edge.length);
    content.readFully(edge);
    digest.update(edge);
    StringBuilder hex = new StringBuilder();
    byte[] hash = digest.digest();
    for (int i = 0; i < ID_CHARACTERS / 2; i++) {
      hex.append(Character.forDigit((hash[i] >> 4) & 15, 16)).append(Character.forDigit(hash[i] & 15, 16));
    }
    return hex.toString();
  }

  /** Reads {@code spoolFolder}, which holds the spool id, and {@code pathHeader}, the source's fileHeaderKey. */
  public static class Builder implements Interceptor.Builder {
    private String spoolId;
    private String pathHeader;

    public void configure(Context context) {
      pathHeader = context.getString("pathHeader", "file");
      String folder = context.getString("spoolFolder");
      if (folder == null) {
        throw new FlumeException("spoolFolder is not set: it must name the source's spoolDir, which holds "
            + SPOOL_ID_FILE);
      }
      spoolId = read(new File(folder, SPOOL_ID_FILE));
    }

    public Interceptor build() {
      return new PlaceInterceptor(spoolId, pathHeader);
    }

    private static String read(File file) {
      String text;
      try {
        text = new String(Files.readAllBytes(file.toPath()), StandardCharsets.ISO_8859_1);
      } catch (IOException e) {
        throw new FlumeException(file + ": the spool folder's id cannot be read. The launcher of headrace makes it: "
            + "start the agent with it, or restore the file if it was there before", e);
      }
      if (!text.matches("[0-9a-f]{" + ID_CHARACTERS + "}\n")) {
        throw new FlumeException(file + ": not a spool id, which is a line of " + ID_CHARACTERS + " lower-case hex "
            + "characters. Restore the file. Without a copy of it, delete it and start the agent again: files that "
            + "are shipped in part then count as new files, whose lines are counted again");
      }
      return text.substring(0, ID_CHARACTERS);
    }
  }
}
