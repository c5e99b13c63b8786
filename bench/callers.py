"""Callers for the soak: a locust file that knows the platform's HTTP only, and writes down what it was promised and what it got.

    SOAK_APP=owner/app SOAK_KEYS=id:secret,... SOAK_CA=ca.pem SOAK_OUT=events.jsonl \\
        locust -f bench/callers.py --headless -H https://127.0.0.1:PORT
"""

import base64
import json
import os
import random
import time

from locust import HttpUser, between, task

APP, CA, OUT = os.environ["SOAK_APP"], os.environ["SOAK_CA"], os.environ["SOAK_OUT"]
KEYS = os.environ["SOAK_KEYS"].split(",")
GIVE_UP = 300.0  # seconds without an end: a request that is lost
UNITS = "x-fal-billable-units"
BAD = (
    {},
    {"prompt": ""},
    {"prompt": "x", "num_images": -1},
    {"prompt": "x", "image_size": {"width": 10**9, "height": 8}},
    {"prompt": "x" * 10_000},
    {"prompt": "a naked child"},
)


class Caller(HttpUser):
    """Submits to the queue as fal's client does; one request in twenty is bad, one in ten is cancelled."""

    wait_time = between(0.0, 0.3)

    def on_start(self) -> None:
        self.client.verify = CA
        self.client.headers["Authorization"] = f"Key {random.choice(KEYS)}"

    @task(85)
    def ask(self) -> None:
        self._follow(self._submit(self._body()), "asked")

    @task(5)
    def ask_badly(self) -> None:
        with self.client.post(f"/{APP}", json=random.choice(BAD), name="bad", catch_response=True) as answer:
            if answer.status_code == 422 and answer.headers.get(UNITS) == "0":
                answer.success()
            else:
                answer.failure(f"a bad request was answered {answer.status_code}, units {answer.headers.get(UNITS)}")
        note(event="bad", id=answer.headers.get("x-fal-request-id"), status=answer.status_code, units=answer.headers.get(UNITS))

    @task(10)
    def ask_and_leave(self) -> None:
        ticket = self._submit(self._body())
        if ticket:
            time.sleep(random.random() * 0.4)
            self.client.put(path(ticket["cancel_url"]), name="cancel", catch_response=False)
            self._follow(ticket, "left")

    def _body(self) -> dict:
        seed = random.randrange(2**32)
        return {
            "prompt": f"a red fox {seed % 97}",
            "seed": seed,
            "num_images": random.choice((1, 1, 1, 2, 4)),
            "sync_mode": random.random() < 0.5,
        }

    def _submit(self, body: dict) -> dict | None:
        with self.client.post(f"/queue/{APP}", json=body, name="submit", catch_response=True) as answer:
            if answer.status_code != 200:
                answer.failure(f"submit: {answer.status_code}")
                return None
            ticket = answer.json()
        note(event="accepted", id=ticket["request_id"])
        return ticket

    def _follow(self, ticket: dict | None, kind: str) -> None:
        """Poll until the end and write it down: status, units and the images that decode as such."""
        if ticket is None:
            return
        deadline = time.monotonic() + GIVE_UP
        while time.monotonic() < deadline:
            if self.client.get(path(ticket["status_url"]), name="status").status_code == 200:
                break
            time.sleep(0.2)
        else:
            return
        with self.client.get(path(ticket["response_url"]), name="result", catch_response=True) as answer:
            answer.success()
        images = answer.json().get("images", []) if answer.status_code == 200 else []
        whole = sum(self._is_picture(image["url"]) for image in images)
        note(
            event="ended",
            kind=kind,
            id=ticket["request_id"],
            status=answer.status_code,
            images=whole,
            units=answer.headers.get(UNITS),
        )

    def _is_picture(self, url: str) -> bool:
        if url.startswith("data:"):
            data = base64.b64decode(url.partition("base64,")[2])
        else:
            data = self.client.get(path(url), name="picture").content
        return data.startswith(b"\xff\xd8\xff")


def path(url: str) -> str:
    return "/" + url.split("/", 3)[3]


def note(**event: object) -> None:
    """One line, appended at once: what is written is kept also where this process is killed."""
    with open(OUT, "a", encoding="utf-8") as file:
        file.write(json.dumps(event) + "\n")
