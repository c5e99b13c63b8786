"""The bundle that is published: that of the evaluation, with what the gate decided in its adapter files; tensors stay bit-equal."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from training.base import sha256_of
from training.bundle import write_json
from training.errors import ExportError
from training.export import FILE, PEFT
from training.export_metadata import Provenance, described
from training.metadata import metadata_of, rewrite, tensors_sha256
from training.sample import read_bundle


def seal(bundle: Path, out: Path, said: Provenance) -> dict[str, Any]:
    """Copy `bundle` into the empty folder `out` with the metadata of its adapter files and manifest complete; the manifest.

    adapter_sha256 is that of the new file; tensors_sha256 is that of both. Equal arguments give equal bytes.
    """
    manifest = dict(read_bundle(bundle))
    shutil.copytree(bundle, out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors", "manifest.json"))
    files = dict(manifest["files"])
    for name in sorted(file for file in files if file.endswith(".safetensors")):
        before = tensors_sha256(bundle / name)
        text = described(manifest, said, tensors_sha256=before)
        kept = {key: value for key, value in metadata_of(bundle / name).items() if key == PEFT}
        rewrite(bundle / name, out / name, {**text, **kept})
        if tensors_sha256(out / name) != before:
            raise ExportError(f"'{out / name}': the tensors changed with the metadata: check the disk and run again")
        files[name] = sha256_of(out / name)
    sealed = {"gate": dict(said.gate), "license_verdict_sha256": said.license_verdict, "job_sha256": said.job}
    manifest |= {"files": files, "adapter_sha256": files[FILE], "tensors_sha256": tensors_sha256(out / FILE), "sealed": sealed}
    write_json(out / "manifest.json", manifest)
    return manifest
