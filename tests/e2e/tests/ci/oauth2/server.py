"""An OAuth 2 server (authlib on Flask) and what it protects: its port on standard output, what it saw at /log.

    server.py SECONDS SECRET     tokens are good for so many seconds; the client is "load" with this secret
"""

import sys
import threading
import time

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin, grants
from authlib.oauth2.rfc6750 import BearerTokenValidator
from flask import Flask, jsonify, request
from werkzeug.serving import make_server

life, secret = int(sys.argv[1]), sys.argv[2]
app = Flask(__name__)
app.config["OAUTH2_TOKEN_EXPIRES_IN"] = {"client_credentials": life}
tokens, log, lock = {}, [], threading.Lock()


class Client(ClientMixin):
    def get_client_id(self):
        return "load"

    def get_allowed_scope(self, scope):
        return scope if scope in ("read", "") else ""

    def check_client_secret(self, given):
        return given == secret

    def check_endpoint_auth_method(self, method, endpoint):
        return method in ("client_secret_basic", "client_secret_post")

    def check_grant_type(self, kind):
        return kind == "client_credentials"

    def check_response_type(self, kind):
        return False


class Token(TokenMixin):
    def __init__(self, given):
        self.ends, self.scope = time.monotonic() + given["expires_in"], given.get("scope") or ""

    def get_scope(self):
        return self.scope

    def is_expired(self):
        return time.monotonic() > self.ends

    def is_revoked(self):
        return False


class Grant(grants.ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class Validator(BearerTokenValidator):
    def authenticate_token(self, text):
        return tokens.get(text)


def save(given, _):
    tokens[given["access_token"]] = Token(given)


server = AuthorizationServer(app, query_client=lambda name: Client() if name == "load" else None, save_token=save)
server.register_grant(Grant)
protect = ResourceProtector()
protect.register_token_validator(Validator())


def note(line):
    with lock:
        log.append(line)


@app.post("/token")
def give():
    answer = server.create_token_response()
    way = "basic" if request.authorization else "form"
    note(f"token {way} {answer.status_code}")
    return answer


@app.get("/orders")
@protect("read")
def orders():
    note("order " + request.headers["Authorization"].split(" ")[1])
    return jsonify(paid=True)


@app.get("/log")
def told():
    return jsonify(log)


@app.get("/deaf")
def deaf():
    # From now on no token is given out.
    global secret
    secret = object()
    return jsonify([])


listener = make_server("127.0.0.1", 0, app, threaded=True)
print(listener.server_port, flush=True)
listener.serve_forever()
