// SPDX-License-Identifier: MIT
//
// Worker.java - a web server whose answers take memory outside of Java's heap.
//
//     java Worker PORT        serve GET /work/N
//     java Worker print N...  print the same answers
import com.sun.net.httpserver.HttpServer;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.security.GeneralSecurityException;
import java.security.MessageDigest;
import java.util.Arrays;
import java.util.HexFormat;
import java.util.Random;
import java.util.TreeMap;
import java.util.concurrent.Executors;
import java.util.zip.DataFormatException;
import java.util.zip.Deflater;
import java.util.zip.Inflater;

public final class Worker {
    private static byte[] packed(byte[] text, int level)
            throws DataFormatException {
        byte[] small = new byte[text.length + 1000];
        Deflater deflater = new Deflater(level);
        deflater.setInput(text);
        deflater.finish();
        int length = deflater.deflate(small);
        deflater.end();

        byte[] back = new byte[text.length];
        Inflater inflater = new Inflater();
        inflater.setInput(small, 0, length);
        int unpacked = inflater.inflate(back);
        inflater.end();
        if (unpacked != text.length || !Arrays.equals(text, back))
            throw new IllegalStateException("zlib changed the text");
        return Arrays.copyOf(small, length);
    }

    private static String answer(int number)
            throws GeneralSecurityException, DataFormatException {
        Random random = new Random(number);
        TreeMap<String, Integer> words = new TreeMap<>();
        StringBuilder text = new StringBuilder();
        for (int i = 0; i < 6000; i++) {
            String word = "word " + random.nextInt(900);
            words.merge(word, 1, Integer::sum);
            text.append(word).append(' ').append(random.nextDouble());
        }
        byte[] bytes = (text + words.toString())
            .getBytes(StandardCharsets.UTF_8);
        MessageDigest digest = MessageDigest.getInstance("SHA-256");
        for (int level = 1; level <= 9; level += 2) {
            ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length);
            direct.put(bytes).flip();
            digest.update(direct);
            if (packed(bytes, level).length >= bytes.length)
                throw new IllegalStateException("zlib did not pack");
        }
        return number + " " + HexFormat.of().formatHex(digest.digest()) + "\n";
    }

    public static void main(String[] arguments) throws Exception {
        if (arguments[0].equals("print")) {
            for (int i = 1; i < arguments.length; i++)
                System.out.print(answer(Integer.parseInt(arguments[i])));
            return;
        }
        HttpServer server = HttpServer.create(new InetSocketAddress(
            "127.0.0.1", Integer.parseInt(arguments[0])), 64);
        server.createContext("/work/", exchange -> {
            String path = exchange.getRequestURI().getPath();
            try {
                byte[] body = answer(Integer.parseInt(path.substring(6)))
                    .getBytes(StandardCharsets.UTF_8);
                exchange.sendResponseHeaders(200, body.length);
                exchange.getResponseBody().write(body);
            } catch (GeneralSecurityException | DataFormatException error) {
                throw new IOException(error);
            }
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }
}
