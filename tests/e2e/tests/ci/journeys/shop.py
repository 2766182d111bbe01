"""A small JSON service that notes every request line: what the engine says it sent is held against it.

POST /login {"user": NAME} answers {"user": {"token": "t-NAME"}} and sets a cookie; GET /orders/ID wants that token; everything else echoes.
`GET /log` yields the request lines so far. It prints its port, then serves until it is killed.
"""

import http.server
import json
import socketserver
import threading

LOG = []
LOCK = threading.Lock()


class Shop(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self, status, document, cookie=None):
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        if cookie:
            self.send_header("Set-Cookie", f"session={cookie}; Path=/")
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path == "/log":
            with LOCK:
                return self.answer(200, LOG)
        with LOCK:
            LOG.append(f"{self.command} {self.path}")
        if self.path == "/login":
            user = json.loads(body)["user"]
            return self.answer(200, {"user": {"token": "t-" + user}}, cookie=f"c-{user}-{len(LOG)}")
        if self.path.startswith("/orders/"):
            name = self.path.split("/")[2].split("?")[0]
            known = self.headers.get("Authorization") == "Bearer t-" + name
            return self.answer(200 if known else 403, {"order": {"of": name, "paid": True}})
        return self.answer(200, {"path": self.path})

    do_GET = do_POST = serve


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 512


server = Server(("127.0.0.1", 0), Shop)
print(server.server_address[1], flush=True)
server.serve_forever()
