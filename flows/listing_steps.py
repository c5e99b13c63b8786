"""The last two tasks of a publish: pictures from the deployed app, which are billed, and the pages around them, which are not."""

import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from flows.home import home
from flows.job import Job
from flows.money.price_basis import basis_of, earned_of, texts_of
from flows.preflight import access_mail
from flows.progress import bar
from flows.step_inputs import SOURCE
from flows.steps import told
from flows.store import Artefact, digest, file_digest, make, tree_digest
from flows.targets import Target, open_platform
from serving.listing.draft import draft_listing as draft
from serving.listing.gallery import photographed, unit_of
from serving.listing.paid import paid_once
from serving.listing.planning import Shot, arguments_of, planned

FIRST_MAIL = "first-request.eml"  # before anything is at fal: access and shared mode have to be asked for


@task(name="draw-gallery", cache_policy=NO_CACHE)
def draw_gallery(
    job: Job, release: dict[str, Any], package: Artefact, dataset: Artefact, bundle: Artefact, target: Target
) -> Artefact:
    """Pictures from the deployed app. Its calls are billed, so they are made once for a revision, whatever the texts say.

    Each is kept as it arrives: a run that was killed, or refused on a later picture, pays for the rest alone.
    """
    shots = planned_shots(job, package, dataset, bundle)
    paid = home() / "work" / f"gallery-{digest([release['package'], release['revision'], target])[:16]}"
    unit = unit_of(json.loads((package.path / "settings.json").read_text()))
    inputs = {
        "package": release["package"],
        "revision": release["revision"],
        "target": target,
        "calls": [arguments_of(shot) for shot in shots],
        "code": [file_digest(SOURCE / "serving" / "listing" / name) for name in ("gallery.py", "planning.py")],
    }

    def draw(out: Path) -> None:
        with bar("gallery") as progress, open_platform(target) as platform:
            photographed(
                shots,
                out=out,
                call=paid_once(
                    lambda arguments: platform.call(release["app"], arguments, key="caller"), shots, folder=paid, unit=unit
                ),
                progress=lambda line: progress.update(0, note=line),
                unit=unit,
            )

    return told("gallery", make(home(), "gallery", inputs, draw))


@task(name="draft-listing", cache_policy=NO_CACHE)
def draft_listing(
    job: Job, release: dict[str, Any], package: Artefact, dataset: Artefact, bundle: Artefact, licences: Artefact, gallery: Artefact
) -> Artefact:
    """listing.json, page, card and the mail to fal, around the gallery; nothing is called."""
    texts = texts_of(job)
    settings = json.loads((package.path / "settings.json").read_text())
    basis, earned = basis_of(job, settings), earned_of(job.serving.app, release["target"], job.listing.platform_share)
    verdict = json.loads((licences.path / "verdict.json").read_text())
    inputs = {
        "release": [release["package"], release["revision"], release["target"], release["urls"]],
        "materials": [gallery.key, bundle.key, dataset.key, verdict["hash"]],
        "texts": asdict(texts),
        "first_mail": [job.serving.app, job.serving.machine_type, job.serving.billing_unit],
        "basis": asdict(basis) if basis else None,
        "earned": earned,
        "code": tree_digest(SOURCE / "serving" / "listing"),
    }

    def write(out: Path) -> None:
        with bar("listing") as progress:
            summary = draft(
                out,
                release=release,
                bundle=bundle.path,
                verdict=verdict,
                dataset=json.loads((dataset.path / "manifest.json").read_text()),
                texts=texts,
                shots=planned_shots(job, package, dataset, bundle),
                gallery=gallery.path,
                settings=settings,
                basis=basis,
                earned=earned,
                progress=lambda line: progress.update(0, note=line),
            )
        (out / "summary.json").write_text(json.dumps(summary, sort_keys=True) + "\n")
        if release["target"] != "fal":
            account = job.listing.sender  # the name of the account at fal is not known here
            (out / FIRST_MAIL).write_bytes(access_mail(job, verdict, account))

    return told("listing", make(home(), "listing", inputs, write))


@task(name="lay-out-listing", cache_policy=NO_CACHE)
def lay_out_listing(draft: Artefact, app: str, target: Target) -> Artefact:
    """The author's copy of the listing, with the words that they edited there."""
    from flows.listing_desk import lay_out, tell
    from flows.listing_folder import desk

    laid = lay_out(draft.path, desk(home(), target, app))
    tell(laid)
    return replace(draft, path=laid.place)


def planned_shots(job: Job, package: Artefact, dataset: Artefact, bundle: Artefact) -> Sequence[Shot]:
    """What the gallery shows: prompts, seeds and sizes."""
    paths = (bundle.path / "evaluation.json", dataset.path / "manifest.json", package.path / "settings.json")
    evaluation, manifest, settings = (json.loads(path.read_text()) for path in paths)
    return planned(evaluation, manifest, settings, pinned=job.listing.prompts)
