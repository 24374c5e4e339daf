"""Starts Meadow, calls its pipelines as a team would, and prints every request and answer.

::

    python demo.py            calls everything once; ends with status 0 if every answer was as it should be
    python demo.py --serve    keeps Meadow running, and prints its address, the key and the login
"""

from __future__ import annotations

import argparse
import json
import re
import secrets
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from html import unescape
from pathlib import Path
from typing import Any

import httpx
from live import LiveServer, ServerError

__all__ = ["Tour", "main"]

FLOWER = {"sepal_length": 6.7, "sepal_width": 3.0, "petal_length": 5.2, "petal_width": 2.3}
TOLD = ("WWW-Authenticate", "Allow", "Location")
SWAPPED = FLOWER | {"petal_length": 2.3, "petal_width": 5.2}


class Tour:
    """One visit: sends requests, prints them beside their answers, and counts what was not as expected.

    Args:
        client: Speaks to the server.
        key: The key of the pipelines.
    """

    def __init__(self, client: httpx.Client, key: str) -> None:
        self.client, self.key = client, key
        self.calls = 0
        self.wrong: list[str] = []

    def chapter(self, title: str) -> None:
        """A heading."""
        print(f"\n\n{title}\n{'=' * len(title)}", flush=True)

    def call(
        self, title: str, request: str, status: int, *holds: str, key: bool = True, **options: Any
    ) -> httpx.Response:
        """Send ``request`` ("GET /path"), print both sides, and expect ``status`` and every text of ``holds``."""
        method, path = request.split()
        if key:
            options["headers"] = {"Authorization": f"Bearer {self.key}"} | options.get("headers", {})
        print(f"\n--- {title}\n$ {self._curl(method, path, options)}", flush=True)
        self.calls += 1
        try:
            answer = self.client.request(method, path, **options)
        except httpx.TransportError as error:
            answer = httpx.Response(599, text=f"no answer: {error}")
        text = readable(answer)
        told = [f"{name}: {answer.headers[name]}" for name in TOLD if name in answer.headers]
        print(f"{answer.status_code} {answer.reason_phrase}", *told, *text.splitlines(), sep="\n", flush=True)
        self.check(title, answer.status_code == status, f"{status}, not {answer.status_code}")
        for held in holds:
            self.check(title, held in text, f"{held!r} in the answer")
        return answer

    def follow(self, title: str, request: str, *holds: str, **options: Any) -> str:
        """Send ``request``, and print the events that come, while they come; their words, put together."""
        method, path = request.split()
        options["headers"] = {"Authorization": f"Bearer {self.key}"} | options.get("headers", {})
        print(f"\n--- {title}\n$ {self._curl(method, path, options)} --no-buffer", flush=True)
        self.calls += 1
        words, last = "", ""
        with self.client.stream(method, path, **options) as answer:
            print(answer.status_code, answer.reason_phrase, flush=True)
            for number, kind, data in frames(answer.iter_lines()):
                line_ends = "\n" if last == "delta" != kind else ""
                words += data["value"] if kind == "delta" else ""
                said = data["value"].strip("\n") if kind == "delta" else f"{line_ends}[{number} {kind}]\n"
                print(said, end="", flush=True)
                last = kind
        self.check(title, last == "run_completed", f"run_completed at the end, not {last or 'nothing'}")
        for held in holds:
            self.check(title, held in words, f"{held!r} in the words")
        return words

    def check(self, title: str, right: bool, expected: str) -> None:
        """Remember, and say, what was not as expected."""
        if not right:
            self.wrong.append(f"{title}: expected {expected}")
            print(f"    NOT AS EXPECTED: expected {expected}", flush=True)

    def _curl(self, method: str, path: str, options: Mapping[str, Any]) -> str:
        words = ["curl", *(("-X", method) if method != "GET" else ()), f"{str(self.client.base_url).rstrip('/')}{path}"]
        for name, value in options.get("headers", {}).items():
            words += ["-H", f"{name}: {value.replace(self.key, '$KEY')}"]
        if "json" in options:
            words += ["--json", json.dumps(options["json"])]
        if "content" in options:
            words += ["-d", options["content"]]
        for name, value in options.get("data", {}).items():
            words += ["-d", f"{name}={'…' if name == 'password' else value}"]
        if not path.startswith("/ai/"):
            words += ["-b", "cookies.txt", "-c", "cookies.txt"]
        return " ".join(f'"{word}"' if "$KEY" in word else shlex.quote(word) for word in words)


def readable(answer: httpx.Response) -> str:
    """The body for people: JSON indented, of a page its text."""
    if "json" in answer.headers.get("content-type", ""):
        return json.dumps(answer.json(), indent=2, ensure_ascii=False)
    words = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<head>.*</head>", "", answer.text))
    return unescape("\n".join(line.strip() for line in words.splitlines() if line.strip()))


def frames(lines: Iterable[str]) -> Iterator[tuple[str, str, Any]]:
    """Number, kind and data of the server-sent events in a response."""
    said: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(": ")
        said[name] = value
        if not line and "data" in said:
            yield said["id"], said["event"], json.loads(said["data"])["data"]
            said = {}


def visit_pipelines(tour: Tour) -> None:
    """What another program sees: pipelines over HTTP, with a key."""
    tour.chapter("1. The weather pipeline: two parameters, both with a default")
    run = "POST /ai/weather/invoke"
    tour.call("With nothing given, the defaults are used", run, 200, "in Paris is 20.0", json={"parameters": {}})
    oslo = {"parameters": {"city": "Oslo", "temperature": 3.0}}
    answer = tour.call("With parameters", run, 200, json=oslo)
    said = answer.json().get("outputs") if answer.is_success else None
    sentence = {"weather_analysis": "The weather in Oslo is 3.0 degrees Celsius."}
    tour.check("With parameters", said == sentence, f"the outputs {sentence}")

    tour.chapter("2. The iris pipeline: scikit-learn, trained once when the server started")
    run = "POST /ai/iris/invoke"
    flower = {"parameters": {"measurements": FLOWER}}
    tour.call("Which species is this flower?", run, 200, '"species": "virginica"', "probabilities", json=flower)
    run = "POST /ai/churn/invoke"
    friend = {"years": 2, "visits": None, "fee": 60, "membership": "single", "payment": "invoice"}
    leaving = {"parameters": friend}
    tour.call("A fitted model as it is: will this friend leave?", run, 200, '"prediction": "leaves"', json=leaving)
    unknown = {"parameters": friend | {"membership": "gold"}}
    tour.call("A word that the model has never seen", run, 422, "membership", json=unknown)

    tour.chapter("3. The assistant: a LangGraph graph, served as it was compiled")
    run = "POST /ai/assistant/invoke"
    asked = {"question": "How much sun does it want?", "species": "versicolor"}
    tour.call("A question about its care", run, 200, "six hours of sun", '"light"', json={"parameters": asked})
    other = {"parameters": asked | {"question": "Who painted it first?"}}
    tour.call("The graph takes its other branch", run, 200, "ask a gardener", json=other)

    tour.chapter("4. What the pipelines tell about themselves")
    tour.call("Everybody may ask whether the process is alive", "GET /ai/health/live", 200, key=False)
    tour.call("Is everything ready?", "GET /ai/health/ready", 200)
    tour.call(
        "Which pipelines are there?",
        "GET /ai/pipelines",
        200,
        "weather",
        "iris",
        "assistant",
        "churn",
        "advice",
        "training",
    )


def visit_streams(tour: Tour) -> None:
    """Answers that are read while they are made, by whoever began them and by whoever comes later."""
    tour.chapter("5. Advice about a specimen: read while it is written, a word at a time")
    asked = {"parameters": {"specimen": 3, "question": "How much water does it want?"}}
    run, submit = "POST /ai/advice/invoke?mode=stream", "POST /ai/advice/submit"
    whole = tour.follow("As a stream of numbered events", run, "You ask about MW-0003", json=asked)
    options: dict[str, Any] = {"json": asked, "headers": {"Idempotency-Key": '"question-1"'}}
    answer = tour.call("As a job, which outlives its request", submit, 202, "stream_url", **options)
    again = tour.call("Whoever asks again under the same key gets the same job", submit, 202, **options)
    tour.check("The same key", answer.content == again.content, "the same answer")
    if answer.status_code == 202:
        events = f"GET {answer.json()['stream_url']}"
        late = tour.follow("Its events, from the start, though it began before", events)
        tour.check("A late reader", late == whole, "the same words")
        rest = tour.follow("The rest, for a reader who had event 60", events, headers={"Last-Event-ID": "60"})
        tour.check("A reader who comes back", 0 < len(rest) < len(whole) and whole.endswith(rest), "the rest")
        tour.call("What came of it", f"GET {answer.json()['poll_url']}", 200, '"status": "succeeded"')


def visit_refusals(tour: Tour) -> None:
    """Every failure is a problem document (RFC 9457); nothing was executed."""
    tour.chapter("6. Without a key, and with a wrong one")
    weather, iris = "POST /ai/weather/invoke", "POST /ai/iris/invoke"
    nothing: dict[str, Any] = {"parameters": {}}
    tour.call("No key", weather, 401, "unauthenticated", key=False, json=nothing)
    wrong = {"X-API-Key": "not-a-key-of-this-app"}
    tour.call("A wrong key", weather, 401, "unauthenticated", key=False, headers=wrong, json=nothing)

    tour.chapter("7. Bad input")
    warm = {"parameters": {"temperature": "warm"}}
    tour.call("A temperature that is no number", weather, 422, '"temperature"', json=warm)
    tour.call("A parameter that does not exist", weather, 422, '"town"', json={"parameters": {"town": "Oslo"}})
    giant = {"parameters": {"measurements": FLOWER | {"petal_length": 50}}}
    tour.call("A petal of half a metre: the input model says no", iris, 422, "petal_length", json=giant)
    swapped = {"parameters": {"measurements": SWAPPED}}
    tour.call("Length and width swapped: a step of the pipeline says no", iris, 422, "petal-swapped", json=swapped)
    tulip = {"parameters": {"question": "How deep?", "species": "tulip"}}
    tour.call("A species that the assistant does not know", "POST /ai/assistant/invoke", 422, '"species"', json=tulip)
    tour.call("Not JSON", weather, 400, "malformed-request", headers={"Content-Type": "application/json"}, content="{")
    tour.call("A body that is not declared as JSON", weather, 415, data={"city": "Oslo"})
    tour.call("A pipeline that does not exist", "POST /ai/roses/invoke", 404, json=nothing)
    tour.call("A wrong method", "GET /ai/weather/invoke", 405)


def visit_product(tour: Tour, password: str) -> None:
    """What staff see: the product's own pages, one of which calls a pipeline in-process."""
    tour.chapter("8. The product itself, which was there before")
    tour.call("Its own API has its own login", "GET /api/specimens", 401, "sign in", key=False)
    login = {"name": "rosa", "password": password}
    tour.call("Rosa signs in and gets a session cookie", "POST /login", 303, key=False, data=login)
    tour.call("She sees the specimens", "GET /", 200, "Salvia pratensis", key=False)

    tour.chapter("9. A page of the product that calls the iris pipeline, without HTTP in between")
    entered = {"label": "MW-0004", "bed": "Pond"} | {name: str(value) for name, value in FLOWER.items()}
    answer = tour.call("Rosa enters the measurements of a flower", "POST /identify", 303, key=False, data=entered)
    if answer.is_redirect:
        path = httpx.URL(answer.headers["location"]).path
        tour.call("The species was found and written down", f"GET {path}", 200, "Iris virginica", key=False)
    mistaken = entered | {name: str(value) for name, value in SWAPPED.items()}
    tour.call("A mistake is explained on the page", "POST /identify", 422, "swapped", key=False, data=mistaken)
    answer = tour.call("Rosa has the model trained anew", "POST /trainings", 303, key=False, data={"rounds": "1"})
    if answer.is_redirect:
        path = httpx.URL(answer.headers["location"]).path
        tour.call("A durable job: its page is there until it is done", f"GET {path}", 200, "random forest", key=False)


def check_lifecycle(tour: Tour, log: list[str]) -> None:
    """After SIGTERM: ``on_init`` and ``on_cleanup`` each ran once."""
    tour.chapter("10. The server was asked to stop (SIGTERM); its log tells of the start and the end")
    for hook in ("on_init", "on_cleanup"):
        lines = [line for line in log if f"{hook}:" in line]
        print("\n".join(lines), flush=True)
        tour.check(hook, len(lines) == 1, f"one line of {hook} in the log, not {len(lines)}")


def main() -> int:
    """Run the demo; 0 if all went as it should."""
    parser = argparse.ArgumentParser(description="Meadow, a FastAPI product with pipelines in it.")
    parser.add_argument("--serve", action="store_true", help="keep it running and print its address, key and login")
    serve = parser.parse_args().serve
    key, password = secrets.token_urlsafe(24), secrets.token_urlsafe(9)
    print("Meadow, a FastAPI product with six pipelines mounted under /ai, is starting …", flush=True)
    with tempfile.TemporaryDirectory(prefix="meadow-") as folder:
        environment = {
            "MEADOW_DATABASE": str(Path(folder) / "meadow.sqlite3"),
            "MEADOW_PASSWORD": password,
            "MEADOW_KEYS": f"demo:{key}",
            "MEADOW_PACE": "0.02",
        }
        with LiveServer(environment) as server:
            print(
                f"It serves at {server.url} (process {server.pid}).\nThe key of its pipelines is KEY={key}", flush=True
            )
            if serve:
                return keep_serving(server, password)
            with httpx.Client(base_url=server.url, timeout=30, trust_env=False) as client:
                tour = Tour(client, key)
                visit_pipelines(tour)
                visit_streams(tour)
                visit_refusals(tour)
                visit_product(tour, password)
        check_lifecycle(tour, server.log)
    return report(tour, server.log)


def keep_serving(server: LiveServer, password: str) -> int:
    """Until Ctrl-C, or until the server ends."""
    print(f"\nPages:      {server.url}/            (sign in as rosa with the password {password})")
    print(f"Pipelines:  {server.url}/ai/docs     (name: demo, password: the key above)")
    print("Ctrl-C ends it.", flush=True)
    try:
        return server.wait()
    except KeyboardInterrupt:
        return 0


def report(tour: Tour, log: list[str]) -> int:
    """The last words."""
    if not tour.wrong:
        print(f"\n\nAll {tour.calls} answers were as expected.", flush=True)
        return 0
    print(f"\n\n{len(tour.wrong)} things were not as expected:", *tour.wrong, sep="\n- ", flush=True)
    print("\nThe server's log:", *log, sep="\n  ", flush=True)
    return 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the server is stopped then, too
    try:
        sys.exit(main())
    except ServerError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
