"""A worker of Valet in nothing but the standard library: it waits for steps over HTTP and needs no Redis."""
import json, os, pathlib, threading, time, urllib.error, urllib.request

URL = os.environ["VALET_URL"].split(",")[0] + "/worker/v1/"
TOKEN = pathlib.Path(os.environ["VALET_WORKER_TOKEN_FILE"]).read_text().strip()

def post(path, body, timeout=30):
    headers = {"Authorization": "Bearer " + TOKEN, "Content-Type": "application/json"}
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), headers)
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return json.loads(answer.read() or "null")

def insist(path, body):
    """Until an engine answers. A refusal ends this worker: whoever runs it starts another."""
    while True:
        try:
            return post(path, body)
        except OSError as error:  # an HTTPError is one too
            if isinstance(error, urllib.error.HTTPError) and error.code not in (429, 503):
                raise
            time.sleep(1)

def hold(grant):
    """The tests' step: notes that it began, waits until its stage is open, notes that it ended."""
    stage, run = pathlib.Path(grant["input"]["stage"]), "run_" + grant["run"].replace("-", "")
    for what in ("began", "ended"):
        while what == "ended" and not ((stage / "open").exists() or (stage / run).exists()):
            time.sleep(0.01)
        with open(stage / "ledger", "a") as ledger:
            ledger.write(f"{what} {run} {grant['seq']} {grant['attempt']} {os.getpid()}\n")
    return grant["input"]["n"]

STEPS = {"noop": lambda grant: grant["input"]["n"], "hold": hold}
opened = insist("sessions", {"protocol": 1, "name": "py", "slots": 1, "queues": os.environ["VALET_QUEUES"].split(",")})
session, held = {"session": opened["session"]}, {}

def beat():
    """Renews the lease. Once it may be over, or a step was told to stop twice, nothing more may happen here."""
    renewed, stopped = time.monotonic(), set()
    while time.monotonic() - renewed < opened["lease_ms"] / 1000 - 1:
        time.sleep(opened["heartbeat_ms"] / 1000)
        try:
            sent = time.monotonic()
            answer = post("heartbeats", {**session, "free_slots": 0, "held": list(held.values())}, timeout=1)
            again, stopped = stopped & set(answer["stop"]) & set(held), set(answer["stop"])
            renewed = sent if answer["standing"] == "yours" and not again else float("-inf")
        except OSError:
            pass
    os._exit(1)
threading.Thread(target=beat, daemon=True).start()
while True:
    for grant in (insist("claim?wait=20s", session) or {"granted": []})["granted"]:
        held[grant["lease"]] = step = {name: grant[name] for name in ("run", "seq", "attempt", "lease")}
        try:
            step = {**step, "outcome": {"done": {"output": STEPS[grant["name"]](grant)}}}
        except Exception as error:
            step = {**step, "outcome": {"retry": {"error": {"code": "python", "message": repr(error)}}}}
        while "again" in insist("finishes", {**session, "finishes": [step]})["answers"][0]:
            time.sleep(0.1)
        del held[grant["lease"]]
