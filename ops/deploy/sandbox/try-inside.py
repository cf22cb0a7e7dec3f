"""Uses the sandbox that is installed here, as a worker, a site, a person at the screen and an engine would.

Run by try.sh in namespaces of its own: there is no network but loopback, and no process that is not the sandbox's.
"""

import base64
import fcntl
import http.server
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

# A private network may have addresses of IPv6 only; the health check asks over IPv4.
HOST = "::1"
GATE = f"http://[{HOST}]:7400"
SITE_PORT = 8000
ENGINE_PORT = 8001
SECRET = "secret"
CALLBACK_TOKEN = "vr_token"
ENTRY = "/usr/local/lib/valet/entry.sh"
HEALTHY = "/usr/local/lib/valet/healthy.sh"
CONFIG = "/etc/valet/gate.json"
START_MAX_S = 120
END_MAX_S = 30

FORM = """<!doctype html><html lang="en"><title>Application</title><form method="post" action="/sent">
<label>Name <input name="name" autocomplete="name"></label>
<label>Country <select name="country"><option>-<option>Norway<option>Peru</select></label>
<label><input type="checkbox" name="agreed" value="yes"> I agree</label>
<label>Seen by a person <input name="person"></label>
<button>Send</button></form></html>"""

# What a site can tell of a browser. WebGL says why it is not there.
FINGERPRINT = r"""
const drawn = () => {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [280, 60];
  const on = canvas.getContext('2d');
  on.fillStyle = '#f60'; on.fillRect(100, 5, 80, 40);
  on.fillStyle = '#069'; on.font = '16px "Liberation Sans"'; on.fillText('Valet, \u00e6\u00f8\u00e5 \u03c0', 4, 30);
  on.globalCompositeOperation = 'multiply'; on.fillStyle = '#0f8'; on.arc(60, 30, 25, 0, 7); on.fill();
  let hash = 0x811c9dc5;
  for (const byte of on.getImageData(0, 0, 280, 60).data) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return hash.toString(16);
};
const webgl = () => {
  const canvas = document.createElement('canvas');
  let why = 'no reason given';
  canvas.addEventListener('webglcontextcreationerror', event => { why = event.statusMessage || why; });
  const gl = canvas.getContext('webgl');
  if (!gl) return {missing: why};
  const more = gl.getExtension('WEBGL_debug_renderer_info');
  const of = (plain, unmasked) => gl.getParameter(more ? more[unmasked] : gl[plain]);
  return {vendor: of('VENDOR', 'UNMASKED_VENDOR_WEBGL'), renderer: of('RENDERER', 'UNMASKED_RENDERER_WEBGL'),
    version: gl.getParameter(gl.VERSION)};
};
const {webdriver, userAgent, language, languages, platform, oscpu, hardwareConcurrency, maxTouchPoints, cookieEnabled} = navigator;
return {canvas: [drawn(), drawn()], webgl: webgl(), screen: [screen.width, screen.height, screen.colorDepth],
  inner: [innerWidth, innerHeight], time_zone: Intl.DateTimeFormat().resolvedOptions().timeZone, plugins: navigator.plugins.length,
  navigator: {webdriver, userAgent, language, languages: [...languages], platform, oscpu, hardwareConcurrency, maxTouchPoints, cookieEnabled}};
"""


def say(text):
    print(f"try: {text}", file=sys.stderr, flush=True)


def loopback_up():
    """SIOCSIFFLAGS with IFF_UP | IFF_RUNNING: netdevice(7)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh14x", b"lo", 0x1 | 0x40))


def until(what, within_s, look):
    deadline = time.monotonic() + within_s
    last = None
    while time.monotonic() < deadline:
        try:
            last = look()
            if last:
                return last
        except OSError as error:
            last = error
        time.sleep(0.2)
    raise SystemExit(f"never came: {what} ({last})")


def served(port, handler):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()


class Quiet(http.server.BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length", 0))).decode()

    def answer(self, status, text=""):
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())


class Site(Quiet):
    sent = []
    headers_seen = {}

    def do_GET(self):
        Site.headers_seen = dict(self.headers)
        self.answer(200, FORM)

    def do_POST(self):
        Site.sent.append(urllib.parse.parse_qs(self.body()))
        self.answer(200, "<!doctype html><title>Thank you</title>")


class Engine(Quiet):
    """Is being started again when it is told something."""

    heard = []
    away = [503, 502]

    def do_POST(self):
        Engine.heard.append((time.monotonic(), self.headers.get("Authorization"), json.loads(self.body())))
        self.answer(Engine.away.pop(0) if Engine.away else 204)


def ask(method, path, body=None, secret=None):
    headers = {"Content-Type": "application/json"}
    if secret:
        headers["Authorization"] = f"Bearer {secret}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(GATE + path, data, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def status():
    return ask("POST", "/control/status", {}, SECRET)["state"]


class Browser:
    """WebDriver through the gate, as whoever holds this fence."""

    def __init__(self, fence):
        key = f"{fence:032}"
        state = ask("POST", "/control/rekey", {"new_key": key, "fence_number": fence}, SECRET)["state"]
        self.session = f"/{key}/session/{state['session_id']}"

    def send(self, path, body):
        return ask("POST", f"{self.session}/{path}", body)["value"]

    def goto(self, url):
        self.send("url", {"url": url})

    def run(self, script, *arguments):
        return self.send("execute/sync", {"script": script, "args": list(arguments)})

    def element(self, css):
        (found,) = self.send("element", {"using": "css selector", "value": css}).values()
        return f"element/{found}"

    def click(self, css):
        self.send(f"{self.element(css)}/click", {})

    def type(self, css, text):
        self.send(f"{self.element(css)}/value", {"text": text})


class WebSocket:
    """RFC 6455, as much of it as noVNC's way to the screen needs: bytes."""

    def __init__(self, port, path):
        self.stream = socket.create_connection((HOST, port), timeout=20)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: [{HOST}]:{port}", "Upgrade: websocket", "Connection: Upgrade",
                 f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: binary", "", ""]
        self.stream.sendall("\r\n".join(lines).encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += self.exactly(1)
        assert head.startswith(b"HTTP/1.1 101 "), head
        self.kept = b""

    def exactly(self, count):
        got = b""
        while len(got) < count:
            more = self.stream.recv(count - len(got))
            assert more, "the connection ended"
            got += more
        return got

    def send(self, data):
        assert len(data) < 126
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.stream.sendall(bytes([0x82, 0x80 | len(data)]) + mask + masked)

    def read(self, count):
        while len(self.kept) < count:
            kind, length = self.exactly(2)
            if length == 126:
                (length,) = struct.unpack(">H", self.exactly(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self.exactly(8))
            data = self.exactly(length)
            if kind & 0xF in (0, 2):
                self.kept += data
        data, self.kept = self.kept[:count], self.kept[count:]
        return data


class Person:
    """Somebody who sees the screen in a page of noVNC's, and acts on it. RFC 6143."""

    def __init__(self):
        self.wire = WebSocket(6080, "/websockify")
        assert self.wire.read(12) == b"RFB 003.008\n"
        self.wire.send(b"RFB 003.008\n")
        kinds = self.wire.read(self.wire.read(1)[0])
        assert 1 in kinds, f"no security is offered: {kinds}"
        self.wire.send(b"\x01")
        assert self.wire.read(4) == bytes(4)
        self.wire.send(b"\x01")
        self.width, self.height = struct.unpack(">HH", self.wire.read(4))
        self.pixel_bytes = self.wire.read(16)[0] // 8
        self.wire.read(struct.unpack(">I", self.wire.read(4))[0])
        self.wire.send(struct.pack(">BxHi", 2, 1, 0))

    def colours(self):
        """How many differ among the pixels of the screen."""
        self.wire.send(struct.pack(">BBHHHH", 3, 0, 0, 0, self.width, self.height))
        seen, left = set(), self.width * self.height
        while left > 0:
            kind, rectangles = struct.unpack(">BxH", self.wire.read(4))
            assert kind == 0, kind
            for _ in range(rectangles):
                _, _, width, height, _ = struct.unpack(">HHHHi", self.wire.read(12))
                pixels = self.wire.read(width * height * self.pixel_bytes)
                seen.update(pixels[at:at + self.pixel_bytes] for at in range(0, len(pixels), self.pixel_bytes))
                left -= width * height
        return len(seen)

    def click(self, x, y):
        for buttons in (0, 1, 0):
            self.wire.send(struct.pack(">BBHH", 5, buttons, int(x), int(y)))
            time.sleep(0.1)

    def type(self, text):
        for letter in text:
            for down in (1, 0):
                self.wire.send(struct.pack(">BBxxI", 4, down, ord(letter)))
            time.sleep(0.05)


def alive():
    """Processes beside this one, each with its words; the system is small enough that all of them are the sandbox's."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                words = file.read().decode().split("\0")
            with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        # Those whose parents ended come to this one, which does not look at how they ended.
        if int(pid) != os.getpid() and state != "Z":
            found[int(pid)] = words
    return found


def processes(name):
    """Those that run this program, or this script."""
    return [pid for pid, words in alive().items() if name in map(os.path.basename, words[:2])]


def healthy():
    """What is wrong, or nothing."""
    asked = subprocess.run([HEALTHY], capture_output=True, text=True)
    assert (asked.returncode == 0) == (not asked.stdout), asked
    return asked.stdout.strip()


def start():
    started = time.monotonic()
    url = f"http://127.0.0.1:{ENGINE_PORT}/api/v1/webhooks/sandbox?tenant=t&sandbox=s"
    told = {"VALET_GATE_CONFIG": CONFIG, "VALET_CALLBACK_URL": url, "VALET_CALLBACK_TOKEN": CALLBACK_TOKEN}
    entry = subprocess.Popen([ENTRY], env=dict(os.environ, **told))

    def ready():
        if entry.poll() is not None:
            raise SystemExit(f"entry.sh ended with {entry.returncode}")
        return status()["phase"] == "ready"

    until("a gate with a browser", START_MAX_S, ready)
    until("a healthy sandbox", START_MAX_S, lambda: not healthy())
    say(f"ready after {time.monotonic() - started:.1f} s")
    return entry


def ended(entry):
    entry.wait(END_MAX_S)
    until("nothing to be left", END_MAX_S, lambda: not alive())
    assert healthy() == "the gate does not answer on port 7400"
    return entry.returncode


def fills_a_form(browser):
    browser.goto(f"http://127.0.0.1:{SITE_PORT}/")
    browser.type("[name=name]", "Ada Lovelace")
    browser.click("option:nth-of-type(2)")
    browser.click("[name=agreed]")
    by_person = "seen, 42"
    x, y = browser.run("""const box = document.querySelector('[name=person]').getBoundingClientRect();
        return [mozInnerScreenX + box.x + box.width / 2, mozInnerScreenY + box.y + box.height / 2];""")
    person = Person()
    colours = person.colours()
    assert colours > 8, f"the screen shows a page: {colours} colours"
    person.click(x, y)
    person.type(by_person)
    until("what a person types at the screen", 10,
          lambda: browser.run("return document.querySelector('[name=person]').value") == by_person)
    browser.click("button")
    sent = until("the form", 20, lambda: Site.sent)
    expected = {"name": ["Ada Lovelace"], "country": ["Norway"], "agreed": ["yes"], "person": [by_person]}
    assert sent == [expected], sent
    assert browser.run("return document.title") == "Thank you"
    say(f"a form was sent; a person saw {person.width}x{person.height} pixels in {colours} colours and typed one of its fields")


def shows_what_sites_see(browser):
    browser.goto(f"http://127.0.0.1:{SITE_PORT}/")
    seen = browser.run(FINGERPRINT)
    browser.goto(f"http://127.0.0.1:{SITE_PORT}/again")
    again = browser.run(FINGERPRINT)
    for name in ("canvas", "webgl", "screen", "inner", "time_zone", "navigator"):
        say(f"fingerprint: {name} {json.dumps(seen[name])}")
    assert seen == again, "it is the same on every page"
    assert len(set(seen["canvas"])) == 1, "it draws alike each time"
    assert seen["webgl"].get("renderer") or seen["webgl"]["missing"], seen["webgl"]
    it = seen["navigator"]
    assert it["userAgent"] == Site.headers_seen["User-Agent"], "script and request say the same"
    assert it["platform"] in it["userAgent"] and it["oscpu"] == it["platform"], it
    assert "Firefox/" in it["userAgent"] and "Headless" not in it["userAgent"], it
    assert it["languages"][0] == it["language"] == "en-US", it
    assert [part.split(";")[0] for part in Site.headers_seen["Accept-Language"].split(",")] == it["languages"]
    assert 1 <= it["hardwareConcurrency"] <= os.cpu_count(), it
    assert seen["screen"][:2] == [1280, 1000] and all(a <= b for a, b in zip(seen["inner"], seen["screen"])), seen


def stays_inside(browser):
    """What the gate's rule does not name is not reached, the screen itself least of all."""
    try:
        browser.goto("http://127.0.0.1:6080/vnc.html")
    except urllib.error.HTTPError as error:
        assert "unknown error" in error.read().decode()
    assert "noVNC" not in browser.run("return document.documentElement.outerHTML")


def comes_back():
    """A program that is killed is missed by the health check, and started again."""
    (around,) = processes("supervisord")
    for name, wrong in (("x11vnc", "the screen cannot be seen"), ("websockify", "nobody is shown the screen")):
        before = processes(name)
        assert before, name
        # It does not look until its absence was seen.
        os.kill(around, signal.SIGSTOP)
        for pid in before:
            os.kill(pid, signal.SIGKILL)
        until(f"{name} to be missed", 10, lambda: healthy() == wrong)
        os.kill(around, signal.SIGCONT)
        killed = time.monotonic()
        until(f"{name} to be back", START_MAX_S, lambda: not healthy())
        assert not set(before) & set(processes(name))
        say(f"{name} was killed, missed as `{wrong}`, and back after {time.monotonic() - killed:.1f} s")


def belongs_to_nobody_else():
    owner = os.stat("/run/valet/gate.json")
    assert (owner.st_uid != 0, owner.st_mode & 0o777) == (True, 0o400), oct(owner.st_mode)
    for name in ("valet", "geckodriver", "browser", "firefox-esr", "Xvfb", "x11vnc", "websockify"):
        for pid in processes(name):
            assert os.stat(f"/proc/{pid}").st_uid == owner.st_uid, f"{name} is another's"
    for name in ("geckodriver", "browser", "firefox-esr", "Xvfb", "x11vnc", "websockify"):
        for pid in processes(name):
            with open(f"/proc/{pid}/environ", "rb") as file:
                assert CALLBACK_TOKEN.encode() not in file.read(), f"{name} knows the engine's token"


def ends_when_told(entry):
    entry.send_signal(signal.SIGTERM)
    code = ended(entry)
    assert code == 0 and not Engine.heard, (code, Engine.heard)


def ends_with_its_browser(entry):
    os.kill(status()["browser"]["pid"], signal.SIGKILL)
    code = ended(entry)
    assert code != 0
    assert [heard[1:] for heard in Engine.heard] == [Engine.heard[0][1:]] * 3, Engine.heard
    at, shown, event = zip(*Engine.heard)
    assert shown[0] == f"Bearer {CALLBACK_TOKEN}" and (event[0]["event"], event[0]["id"]) == ("error", "gate-ended")
    pauses = [later - earlier for earlier, later in zip(at, at[1:])]
    assert 0.5 <= pauses[0] < pauses[1], pauses
    say(f"without its browser it ended with {code} and said so: 503, 502 and 204, after pauses of {pauses[0]:.1f} and {pauses[1]:.1f} s")


def main():
    loopback_up()
    served(SITE_PORT, Site)
    served(ENGINE_PORT, Engine)
    site = f"127.0.0.1:{SITE_PORT}"
    # As a worker writes it for a machine at Fly.
    config = {
        "sandbox_dir": "/var/lib/valet/sandbox", "control_secret": SECRET, "fence": 0, "fence_key": "0" * 32, "lease_s": 600,
        "kind": "firefox", "driver": "/usr/local/bin/geckodriver", "browser": "/usr/local/bin/browser", "headless": False,
        "display": ":99", "listen": "[::]:7400", "window_px": [1280, 1000], "allowed_hosts": [site], "allow_private": [site],
    }
    with open(CONFIG, "w", encoding="utf-8") as file:
        json.dump(config, file)

    entry = start()
    browser = Browser(1)
    belongs_to_nobody_else()
    fills_a_form(browser)
    shows_what_sites_see(browser)
    stays_inside(browser)
    comes_back()
    assert browser.run("return 6 * 7") == 42, "the browser was none of it"
    ends_when_told(entry)
    ends_with_its_browser(start())


main()
