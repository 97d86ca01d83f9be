package headrace;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.apache.flume.Context;
import org.apache.flume.Event;
import org.apache.flume.FlumeException;
import org.apache.flume.event.EventBuilder;
import org.apache.flume.serialization.EventDeserializer;
import org.apache.flume.serialization.ResettableInputStream;

/**
 * Cuts a file into blocks of whole lines; each block is one event whose body is the file's bytes, unchanged.
 *
 * <p>Why. Flume's line deserializer decodes a file character by character and makes an object of each line: that is
 * nearly all that a line costs the agent. It also changes the bytes: it drops line ends, splits long lines and replaces
 * what its charset does not know.
 *
 * <p>The promise. The events of a file tile it: the first begins at 0, each begins where the one before ends, and the
 * last ends at the end of the file. The header {@code headrace.position} is where the body begins in the file. A body
 * ends behind a line end (the byte 0x0A, nothing else) or at the end of the file, and where it ends depends on nothing
 * but the file and where it begins. So a file that is read again, after a rollback or a crash, gives the same events
 * from there on.
 *
 * <pre>
 * a line of                    becomes
 * at most blockBytes           a part of a block
 * more, up to maxLineBytes     one event, whole; its line end counts
 * more than maxLineBytes       one event, a cut line: the body is the line's beginning, and the header
 *                              headrace.length has the bytes that the event stands for, line end included
 * </pre>
 *
 * <p>Memory: one block, beside the events that are returned. Those of one call of {@link #readEvents} hold at most
 * {@code count} blocks and one longest line. A longer line is passed twice, first to find its end: so it is never
 * collected in a buffer that grows.
 *
 * <p>The trap. Flume's stream notes its size when it is opened. If the file is truncated meanwhile, its read returns 0
 * for ever, neither bytes nor an end. That is an error here, which stops the source and is seen.
 *
 * <p>Written in the Java that Janino compiles (no lambdas, and casts in the place of generics), since the host may have
 * no JDK.
 */
public class BlockDeserializer implements EventDeserializer {
  static final String POSITION = "headrace.position";
  static final String LENGTH = "headrace.length";
  private static final int DEFAULT_BLOCK_BYTES = 1024 * 1024;
  private static final int DEFAULT_MAX_LINE_BYTES = 8 * 1024 * 1024;
  private static final int BEGINNING_BYTES = 64 * 1024;
  private static final byte LINE_END = 0x0A;

  private final ResettableInputStream in;
  private final int maxLineBytes;
  private final byte[] block;
  private boolean isOpen = true;

  BlockDeserializer(ResettableInputStream in, int blockBytes, int maxLineBytes) {
    if (blockBytes < 1 || maxLineBytes < blockBytes) {
      throw new FlumeException(
          "blockBytes = " + blockBytes + " and maxLineBytes = " + maxLineBytes
              + ": the first must be at least 1, the second at least the first");
    }
    this.in = in;
    this.maxLineBytes = maxLineBytes;
    this.block = new byte[blockBytes];
  }

  /** Returns the block at the stream's position, which is then behind the block; null at the end of the file. */
  public Event readEvent() throws IOException {
    long position = in.tell();
    int filled = fill(block);
    if (filled == 0) {
      return null;
    }
    // A block that is not full ends at the end of the file, with or without a line end.
    int end = filled < block.length ? filled : behindLastLineEnd(filled);
    if (end == 0) {
      return longLine(position);
    }
    in.seek(position + end);
    return event(Arrays.copyOf(block, end), position);
  }

  /** Returns up to {@code count} blocks: fewer at the end of the file, and when lines are longer than blocks. */
  public List readEvents(int count) throws IOException {
    List events = new ArrayList();
    long bytes = 0L;
    while (events.size() < count && bytes < (long) count * block.length) {
      Event event = readEvent();
      if (event == null) {
        break;
      }
      bytes += event.getBody().length;
      events.add(event);
    }
    return events;
  }

  /** Returns the line at {@code position}, of which a whole block was read without finding its end. */
  private Event longLine(long position) throws IOException {
    long length = (long) block.length + passRestOfLine();
    boolean isCut = length > maxLineBytes;
    byte[] body = new byte[isCut ? Math.min(BEGINNING_BYTES, maxLineBytes) : (int) length];
    in.seek(position);
    if (fill(body) < body.length) {
      throw truncated();
    }
    in.seek(position + length);
    Event event = event(body, position);
    if (isCut) {
      event.getHeaders().put(LENGTH, String.valueOf(length));
    }
    return event;
  }

  /** Returns how many bytes of the line are left, its line end included. The block's content is overwritten. */
  private long passRestOfLine() throws IOException {
    long passed = 0L;
    while (true) {
      int filled = fill(block);
      for (int i = 0; i < filled; i++) {
        if (block[i] == LINE_END) {
          return passed + i + 1;
        }
      }
      passed += filled;
      if (filled < block.length) {
        return passed;
      }
    }
  }

  private int behindLastLineEnd(int filled) {
    int end = filled;
    while (end > 0 && block[end - 1] != LINE_END) {
      end--;
    }
    return end;
  }

  /** Fills the target; returns how many bytes it got, which are fewer only at the end of the file. */
  private int fill(byte[] target) throws IOException {
    int filled = 0;
    while (filled < target.length) {
      int read = in.read(target, filled, target.length - filled);
      if (read < 0) {
        break;
      }
      if (read == 0) {
        throw truncated();
      }
      filled += read;
    }
    return filled;
  }

  private IOException truncated() throws IOException {
    return new IOException("The file ends at byte " + in.tell() + ", before the size that it had when it was opened: "
        + "something truncated it while it was read");
  }

  private static Event event(byte[] body, long position) {
    Event event = EventBuilder.withBody(body);
    event.getHeaders().put(POSITION, String.valueOf(position));
    return event;
  }

  public void mark() throws IOException {
    in.mark();
  }

  public void reset() throws IOException {
    in.reset();
  }

  public void close() throws IOException {
    if (isOpen) {
      isOpen = false;
      in.reset();
      in.close();
    }
  }

  /** Reads {@code blockBytes} and {@code maxLineBytes}, both in bytes. */
  public static class Builder implements EventDeserializer.Builder {
    public EventDeserializer build(Context context, ResettableInputStream in) {
      int blockBytes = context.getInteger("blockBytes", Integer.valueOf(DEFAULT_BLOCK_BYTES)).intValue();
      int maxLineBytes = context.getInteger("maxLineBytes", Integer.valueOf(DEFAULT_MAX_LINE_BYTES)).intValue();
      return new BlockDeserializer(in, blockBytes, maxLineBytes);
    }
  }
}
