"""Waivers: forged, stale, for something else, or against what no waiver lifts."""

from collections.abc import Mapping
from datetime import date
from hashlib import sha256
from typing import Any

from licenses.waivers import Trust
from tests.licenses.adversarial.build import bare, child, files, folder, under, with_files
from tests.licenses.adversarial.case import Case, Folder, Repo, Signed, clean, dirty
from tests.licenses.adversarial.texts import APACHE, synthetic
from tests.licenses.loopback_hub import COMMIT
from tests.licenses.signing import ADA, EVE, trusting

NC = "non_commercial"
USES = ("train_adapter", "host_paid_inference")
BARS = synthetic("cc-by-nc-4.0")
BASE = {"a/base": under("cc-by-nc-4.0")}
ADA_ALONE = trusting(ADA)


def hashed(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def both(fields: Mapping[str, Any] | None = None, **made: Any) -> tuple[Signed, ...]:
    """A sound waiver for each paid use of a/base, changed as asked: fields before signing, `forged` after it."""
    sound = {"repo": "a/base", "revision": COMMIT, "text_sha256": hashed(BARS)}
    return tuple(Signed(fields={**sound, "use": use, **(fields or {})}, **made) for use in USES)


def void(id: str, waivers: tuple[Signed, ...], codes: str = NC, **fields: Any) -> Case:
    return dirty(
        f"waiver: {id}", fields.pop("base", "a/base"), codes, **({"repos": BASE, "waivers": waivers, "trust": ADA_ALONE} | fields)
    )


FORGED: tuple[Case, ...] = (
    void("not signed", both(forged={"signature": None})),
    void("signed with nonsense", both(forged={"signature": "signed by Ada"})),
    void("signed by a key that nobody pinned", both(key=EVE)),
    void("signed by another trusted person in Ada's name", both(key=EVE), trust=trusting(EVE, name="Eve")),
    void(
        "a key trusted under another's fingerprint",
        both(key=EVE),
        trust=Trust(keys=dict(zip(trusting(ADA).keys, trusting(EVE).keys.values(), strict=True))),
    ),
    void("nobody is trusted", both(), trust=None),
    void("its repository changed after signing", both({"repo": "a/other"}, forged={"repo": "a/base"})),
    void("its text changed after signing", both({"text_sha256": "ab" * 32}, forged={"text_sha256": hashed(BARS)})),
    void("its commit changed after signing", both({"revision": "ab" * 20}, forged={"revision": COMMIT})),
    void("its end changed after signing", both({"expires": date(2026, 11, 20)}, forged={"expires": date(2027, 10, 1)})),
    void("its use changed after signing", both({"use": "sell_outputs"}, forged={"use": "train_adapter"})),
    void("its publisher changed after signing", both({"publisher": "Others"}, forged={"publisher": "Studio"})),
    void("its approver changed after signing", both(forged={"by": "Ada "})),
    void("its evidence changed after signing", both(evidence=b"No, you may not.\n")),
    void("its evidence gone", both(evidence=None)),
    void("its evidence empty", both({"evidence_sha256": hashed("")}, evidence=b"")),
)

STALE: tuple[Case, ...] = (
    void("expired", both({"expires": date(2026, 11, 20)})),
    void("expired today", both({"expires": date(2026, 11, 22)})),
    void("signed tomorrow", both({"signed": date(2026, 11, 23)})),
    void("for ten years", both({"expires": date(2036, 11, 1)})),
    void("in ten years", both(), as_of="2036-11-22"),
    void("for another commit", both({"revision": "ab" * 20})),
    void("for a branch", both({"revision": "main"})),
    void("for another text", both({"text_sha256": "ab" * 32})),
    void(
        "for the text before one word changed",
        both(),
        "text_unknown",
        repos={"a/base": Repo(files={"LICENSE": BARS.replace(" the ", " no ", 1)})},
    ),
    void("without a text", both({"text_sha256": None})),
    void(
        "without a use",
        tuple(Signed(fields={"repo": "a/base", "revision": COMMIT, "text_sha256": hashed(BARS), "use": None}) for _ in USES),
    ),
    void("without a publisher", both({"publisher": None})),
    void("for another publisher", both(), publisher={"name": "Others"}),
    void("for a publisher without a name", both(), publisher={"name": None}),
)

ELSEWHERE: tuple[Case, ...] = (
    void("for another repository", both({"repo": "a/other"})),
    void("for a repository in other letters of another owner", both({"repo": "A-/base"})),
    void("for training alone", both()[:1], barred=("host_paid_inference",)),
    void("for hosting alone", both()[1:], barred=("train_adapter",)),
    void("for selling pictures alone", both({"use": "sell_outputs"})),
    void(
        "for the child, where the parent bars",
        both({"text_sha256": hashed(APACHE)}),
        repos={"a/base": child("b/root"), "b/root": under("cc-by-nc-4.0")},
    ),
    void(
        "for the parent, where the grandparent bars as well",
        both({"repo": "b/root"}),
        repos={
            "a/base": child("b/root"),
            "b/root": Repo(files=bare("license: cc-by-nc-4.0\nbase_model: c/origin", BARS)),
            "c/origin": under("cc-by-nc-4.0"),
        },
    ),
    void(
        "for the base, where the data bars",
        both({"text_sha256": hashed(APACHE)}),
        repos={"a/base": Repo(files=files())},
        dataset=Folder(files={"dataset.yaml": "license: cc-by-nc-4.0"}, name="pictures"),
    ),
    void(
        "for one text, where a second is unknown",
        both(),
        "text_unknown",
        repos={"a/base": Repo(files={"LICENSE": BARS, "LICENSE-MODEL": "Ask Jane."})},
    ),
    void(
        "for one text, where a second bars",
        both({"text_sha256": hashed(APACHE)}),
        f"texts_disagree {NC}",
        repos={"a/base": Repo(files={"LICENSE": APACHE, "LICENSE-MODEL": BARS})},
    ),
    void(
        "for a barred model that was never asked",
        both({"repo": "black-forest-labs/FLUX.1-dev"}),
        f"{NC} hub_not_found",
        base="black-forest-labs/FLUX.1-dev",
        repos={},
    ),
)

HARD: tuple[Case, ...] = (
    void("against a gate", both(), "hub_gated", repos={"a/base": Repo(files={"LICENSE": BARS}, fault="gated")}),
    void("against what is gone", both(), "hub_not_found", repos={}),
    void(
        "against a card that can not be read",
        both({"text_sha256": hashed(APACHE)}),
        "card_invalid",
        repos={"a/base": Repo(files=files("license: &a apache-2.0"))},
    ),
    void(
        "against a card in UTF-16",
        both({"text_sha256": hashed(APACHE)}),
        "card_not_utf8",
        repos={"a/base": Repo(files=with_files({"README.md": "---\nlicense: apache-2.0\n---\n".encode("utf-16")}))},
    ),
    void("against a cycle", both({"text_sha256": hashed(APACHE)}), "ancestor_cycle", repos={"a/base": child("a/base")}),
    void("against a missing ancestor", both({"text_sha256": hashed(APACHE)}), "hub_not_found", repos={"a/base": child("b/gone")}),
    void(
        "against filters that are off",
        both({"text_sha256": hashed(synthetic("nvidia-open-model"))}),
        "filters_required",
        repos={"a/base": under("nvidia-open-model")},
        publisher={"content_filters": False},
    ),
    dirty(
        "waiver: against persons who did not consent",
        folder(),
        "persons_without_consent",
        dataset=Folder(files={"dataset.yaml": "license: own\npersons: identifiable"}, name="pictures"),
        waivers=both(
            {
                "repo": "pictures",
                "revision": "sha256:" + hashed("license: own\npersons: identifiable"),
                "text_sha256": hashed("license: own\npersons: identifiable"),
            }
        ),
        trust=ADA_ALONE,
    ),
)

CLEAN: tuple[Case, ...] = (
    clean("waiver: sound, for both uses", "a/base", repos=BASE, waivers=both(), trust=ADA_ALONE),
    clean("waiver: sound, on the first day", "a/base", repos=BASE, waivers=both({"signed": date(2026, 11, 22)}), trust=ADA_ALONE),
    clean("waiver: sound, on the last day", "a/base", repos=BASE, waivers=both({"expires": date(2026, 11, 23)}), trust=ADA_ALONE),
    clean(
        "waiver: sound, for the parent that bars",
        "a/one",
        repos={"a/one": child("a/base"), **BASE},
        waivers=both(),
        trust=ADA_ALONE,
    ),
    clean(
        "waiver: a void one takes nothing from what is clean",
        "a/base",
        repos={"a/base": Repo(files=files())},
        waivers=both(forged={"signature": None}),
        trust=ADA_ALONE,
    ),
)

CASES = (*FORGED, *STALE, *ELSEWHERE, *HARD, *CLEAN)
