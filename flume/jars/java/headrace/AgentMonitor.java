package headrace;

import com.google.gson.Gson;
import com.sun.net.httpserver.HttpExchange;
import com.sun.net.httpserver.HttpHandler;
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardCopyOption;
import org.apache.flume.Context;
import org.apache.flume.FlumeException;
import org.apache.flume.instrumentation.MonitorService;
import org.apache.flume.instrumentation.util.JMXPollUtil;

/**
 * Serves Flume's JSON metrics page on one address, and stops the agent when its launcher has died.
 *
 * <p>Flume's own server binds every interface, has no authentication and needs a fixed port. This one binds
 * {@code flume.monitoring.host} (127.0.0.1); with port 0 it takes a free port. It writes the number to
 * {@code flume.monitoring.portFile} by a rename, so no reader sees half a number, and agents do not compete for ports.
 *
 * <p>With {@code flume.monitoring.watchStdin=true} the end of standard input stops the agent in order: a launcher that
 * is killed cannot send a signal, but the kernel closes its end of the pipe, so no agent is left behind.
 *
 * <p>Written in the Java that Janino compiles (no lambdas), since the host may have no JDK.
 */
public class AgentMonitor implements MonitorService {
  private String host;
  private int port;
  private String portFile;
  private boolean watchStdin;
  private HttpServer server;

  public void configure(Context context) {
    host = context.getString("host", "127.0.0.1");
    port = context.getInteger("port", Integer.valueOf(0)).intValue();
    portFile = context.getString("portFile");
    watchStdin = context.getBoolean("watchStdin", Boolean.FALSE).booleanValue();
  }

  public void start() {
    try {
      server = HttpServer.create(new InetSocketAddress(InetAddress.getByName(host), port), 0);
      server.createContext("/metrics", new Page());
      server.start();
      if (portFile != null) {
        announce(server.getAddress().getPort());
      }
    } catch (IOException e) {
      throw new FlumeException("The metrics page cannot be served on " + host + " port " + port, e);
    }
    if (watchStdin) {
      Thread watch = new Thread(new StdinWatch(), "stdin-watch");
      watch.setDaemon(true);
      watch.start();
    }
  }

  public void stop() {
    if (server != null) {
      server.stop(0);
    }
  }

  private void announce(int chosen) throws IOException {
    Path part = Paths.get(portFile + ".part", new String[0]);
    Files.write(part, String.valueOf(chosen).getBytes(StandardCharsets.US_ASCII));
    Files.move(part, Paths.get(portFile, new String[0]), StandardCopyOption.ATOMIC_MOVE);
  }

  /** Answers a request with the MBeans of all components, in the form of Flume's own page. */
  private static class Page implements HttpHandler {
    public void handle(HttpExchange exchange) throws IOException {
      byte[] body = new Gson().toJson(JMXPollUtil.getAllMBeans()).getBytes(StandardCharsets.UTF_8);
      exchange.getResponseHeaders().set("Content-Type", "application/json;charset=utf-8");
      exchange.sendResponseHeaders(200, (long) body.length);
      exchange.getResponseBody().write(body);
      exchange.close();
    }
  }

  /** Waits until the launcher's end of the pipe is closed, then exits, which runs Flume's shutdown hook. */
  private static class StdinWatch implements Runnable {
    public void run() {
      try {
        while (System.in.read() >= 0) {
          continue;
        }
      } catch (IOException closed) {
        // A broken pipe means the same as its end.
      }
      System.exit(0);
    }
  }
}
