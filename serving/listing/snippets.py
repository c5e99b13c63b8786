"""The first example as a call that can be copied: by client, by cURL, through the queue, and with a webhook. Pure."""

import json
import shlex
from string import Template
from typing import Any

from serving.listing.model import Example, Listing

QUEUE = "https://queue.fal.run"
WEBHOOK = "https://example.org/fal-webhook"
SNIPPETS = {
    "Python": """\
# pip install fal-client
import fal_client

result = fal_client.subscribe(
    $endpoint,
    arguments=$body,
)
print(result["images"][0]["url"])""",
    "JavaScript": """\
// npm install @fal-ai/client
import { fal } from "@fal-ai/client";

const result = await fal.subscribe($endpoint, {
    input: $body,
});
console.log(result.data.images[0].url);""",
    "cURL": """\
curl $address \\
    -H "Authorization: Key $$FAL_KEY" \\
    -H "Content-Type: application/json" \\
    -d $data""",
    "Queue": """\
# submit: the answer has the request's id, and its place in the queue
request=$$(curl -sS $queue \\
    -H "Authorization: Key $$FAL_KEY" \\
    -H "Content-Type: application/json" \\
    -d $data | sed -n 's/.*"request_id": *"\\([^"]*\\)".*/\\1/p')

# status: IN_QUEUE, IN_PROGRESS, COMPLETED
until curl -sS "$base/requests/$$request/status" \\
    -H "Authorization: Key $$FAL_KEY" | grep COMPLETED; do sleep 1; done

# result
curl -sS "$base/requests/$$request" -H "Authorization: Key $$FAL_KEY\"""",
    "Webhook": """\
# what your server gets by POST once it is done, signed:
# {"request_id": "...", "status": "OK", "payload": {"images": [...], ...}}
curl $hooked \\
    -H "Authorization: Key $$FAL_KEY" \\
    -H "Content-Type: application/json" \\
    -d $data""",
}
FENCES = {"Python": "python", "JavaScript": "javascript", "cURL": "sh", "Queue": "sh", "Webhook": "sh"}


def snippets(listing: Listing) -> dict[str, str]:
    """Code by its name; JSON literals are literals in Python and JavaScript too, as no value of a call is null or a truth value."""
    arguments = first_call(listing.examples[0]) if listing.examples else {}
    queue = f"{QUEUE}/{listing.endpoint_id}"
    given = {
        "endpoint": json.dumps(listing.endpoint_id),
        "body": json.dumps(arguments, indent=4, ensure_ascii=False).replace("\n", "\n    "),
        "address": shlex.quote(listing.metadata.model_url),
        "queue": shlex.quote(queue),
        "base": queue,
        "hooked": shlex.quote(f"{queue}?fal_webhook={WEBHOOK}"),
        "data": shlex.quote(json.dumps(arguments, ensure_ascii=False)),
    }
    return {name: Template(lines).substitute(given) for name, lines in SNIPPETS.items()}


def first_call(example: Example) -> dict[str, Any]:
    """Prompt and seed alone; line separators that JSON allows and JavaScript once did not are in no prompt of an example."""
    return {key: example.input[key] for key in ("prompt", "seed") if key in example.input}
