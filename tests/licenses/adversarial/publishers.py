"""Publishers at the edges of caps, territories and registrations."""

from typing import Any

from tests.licenses.adversarial.build import child, under
from tests.licenses.adversarial.case import Case, Folder, clean, dirty
from tests.licenses.adversarial.texts import NO_EU, synthetic

STABILITY = {"revenue_usd_ttm": 1_000, "affiliates_revenue_usd_ttm": 0, "registrations": ["stability-community"]}


def under_license(license: str) -> Folder:
    return Folder(files={"LICENSE": synthetic(license)})


def lacks(
    id: str, license: str, codes: str, barred: tuple[str, ...] = ("train_adapter", "host_paid_inference"), **profile: Any
) -> Case:
    return dirty(f"publisher: {id}", under_license(license), codes, barred=barred, publisher=profile)


def meets(id: str, license: str, duties: str = "", **profile: Any) -> Case:
    return clean(f"publisher: {id}", under_license(license), duties, publisher=profile)


PROFILES: tuple[Case, ...] = (
    lacks("nothing said about revenue", "stability-community", "revenue_cap_unknown", registrations=["stability-community"]),
    lacks("revenue at the cap", "stability-community", "revenue_cap_exceeded", **(STABILITY | {"revenue_usd_ttm": 1_000_000})),
    lacks(
        "revenue over the cap by its affiliates",
        "stability-community",
        "revenue_cap_exceeded",
        **(STABILITY | {"affiliates_revenue_usd_ttm": 999_000}),
    ),
    lacks(
        "affiliates unknown", "stability-community", "revenue_cap_unknown", revenue_usd_ttm=5, registrations=["stability-community"]
    ),
    lacks("not registered", "stability-community", "registration_missing", revenue_usd_ttm=5, affiliates_revenue_usd_ttm=0),
    lacks(
        "registered for another licence",
        "stability-community",
        "registration_missing",
        **(STABILITY | {"registrations": ["kolors", "cogvideox"]}),
    ),
    lacks(
        "registered from tomorrow on",
        "stability-community",
        "registration_missing registration_ahead",
        **(STABILITY | {"registrations": [{"id": "stability-community", "date": "2026-11-23", "proof": "mail.eml"}]}),
    ),
    lacks(
        "a cap of another currency's size",
        "ltxv-owl-2025",
        "revenue_cap_exceeded",
        revenue_usd_ttm=9_999_999,
        affiliates_revenue_usd_ttm=1,
    ),
    lacks("users unknown", "qwen-license", "users_cap_unknown"),
    lacks("users at the cap", "qwen-license", "users_cap_exceeded", monthly_users=100_000_000),
    lacks("users over a small cap", "cogvideox", "users_cap_exceeded", monthly_users=1_000_001, registrations=["cogvideox"]),
    lacks("filters off", "nvidia-open-model", "filters_required", content_filters=False),
    lacks(
        "filters off below a cap",
        "krea-2-community",
        "filters_required",
        revenue_usd_ttm=5,
        affiliates_revenue_usd_ttm=5,
        content_filters=False,
    ),
    lacks("weights kept", "faipl-1.0-sd", "weights_not_public", ("host_paid_inference",)),
    lacks(
        "weights offered under another licence",
        "faipl-1.0-sd",
        "weights_not_public share_alike_broken",
        ("host_paid_inference",),
        publish_weights=True,
        adapter_license="mit",
    ),
    lacks("weights kept under AGPL", "agpl-3.0", "weights_not_public", ("host_paid_inference",)),
    lacks("the world, the EU excluded", NO_EU, "territory_excluded"),
    lacks("the world, half of the exclusion fenced", NO_EU, "territory_excluded", geofence=["EU"]),
    lacks("the exclusion fenced and offered", NO_EU, "territory_excluded", geofence=["EU", "GB"], territories=["US", "GB"]),
    lacks("the exclusion fenced, a member of it offered", NO_EU, "territory_excluded", geofence=["EU", "GB"], territories=["DE"]),
    lacks("a member fenced in place of the whole", NO_EU, "territory_excluded", geofence=["FR", "GB"], territories=["US"]),
    lacks("the exclusion neither offered nor fenced", NO_EU, "territory_excluded", territories=["US"]),
    lacks(
        "everything met, the use barred all the same",
        "tencent-hunyuan-community",
        "license_forbids territory_excluded",
        ("host_paid_inference",),
        monthly_users=5,
        geofence=["EU", "GB", "KR"],
        territories=["US"],
    ),
    lacks(
        "everything met, the use unclear all the same",
        "ltx-2-community",
        "license_unclear",
        ("host_paid_inference",),
        revenue_usd_ttm=5,
        affiliates_revenue_usd_ttm=0,
    ),
    lacks(
        "a registration does not lift a ban",
        "flux-1-dev-nc",
        "non_commercial",
        registrations=["flux-1-dev-nc"],
        publish_weights=True,
    ),
    lacks(
        "a commercial licence that covers no derivatives",
        "bfl-self-hosted-commercial",
        "license_forbids",
        registrations=["bfl-self-hosted-commercial"],
    ),
    lacks("flags of a page", "civitai-flags", "needs_review license_unclear"),
    dirty(
        "publisher: a cap that an ancestor brings",
        "a/one",
        "revenue_cap_exceeded",
        repos={"a/one": child("b/root"), "b/root": under("stability-community")},
        publisher=STABILITY | {"revenue_usd_ttm": 2_000_000},
    ),
    dirty("publisher: a number that is none", under_license("qwen-license"), "refused", publisher={"monthly_users": True}),
    dirty("publisher: less than nothing", under_license("qwen-license"), "refused", publisher={"monthly_users": -5}),
    dirty("publisher: not a number at all", under_license("qwen-license"), "refused", publisher={"monthly_users": float("nan")}),
    dirty(
        "publisher: a number as text",
        under_license("stability-community"),
        "refused revenue_cap_unknown",
        publisher=STABILITY | {"revenue_usd_ttm": "0"},
    ),
    dirty("publisher: a field that nobody knows", under_license("qwen-license"), "refused", publisher={"montly_users": 5}),
)

CLEAN: tuple[Case, ...] = (
    meets("below the cap and registered", "stability-community", "DISPLAY NOTICE_FILE", **STABILITY),
    meets("one dollar below the cap", "stability-community", **(STABILITY | {"revenue_usd_ttm": 999_999})),
    meets(
        "registered with date and proof",
        "stability-community",
        **(STABILITY | {"registrations": [{"id": "stability-community", "date": "2026-11-22", "proof": "mail.eml"}]}),
    ),
    meets("registered in capitals", "stability-community", **(STABILITY | {"registrations": ["STABILITY-COMMUNITY"]})),
    meets("registered for Kolors", "kolors", "LICENSE_COPY", monthly_users=5, registrations=["kolors"]),
    meets(
        "registered for CogVideoX",
        "cogvideox",
        monthly_users=999_999,
        registrations=[{"id": "cogvideox", "date": "2026-10-01", "proof": "mail.eml"}],
    ),
    meets("below the cap of Krea", "krea-2-community", "FILTER", revenue_usd_ttm=5, affiliates_revenue_usd_ttm=5),
    meets("below the cap of LTXV", "ltxv-owl-2025", "AI_DISCLOSURE", revenue_usd_ttm=9_000_000, affiliates_revenue_usd_ttm=0),
    meets("few users of Qwen", "qwen-license", "DISPLAY", monthly_users=99_999_999),
    meets("few users of Playground", "playground-v2-community", monthly_users=10),
    meets("weights offered alike", "faipl-1.0-sd", "SHARE_ALIKE", publish_weights=True, adapter_license="faipl-1.0-sd"),
    meets("weights offered under AGPL", "agpl-3.0", "NETWORK_SOURCE", publish_weights=True, adapter_license="agpl-3.0"),
    meets("filters on", "nvidia-open-model", "KEEP_GUARDRAILS"),
    meets("the exclusion fenced, the world else", NO_EU, "FLOWDOWN", geofence=["EU", "GB"]),
    meets("the exclusion fenced, offered elsewhere", NO_EU, geofence=["EU", "GB"], territories=["US", "JP"]),
    meets("rail for anybody", "creativeml-openrail-m", "FLOWDOWN"),
    clean(
        "publisher: the cap of an ancestor, met",
        "a/one",
        "DISPLAY",
        repos={"a/one": child("b/root"), "b/root": under("stability-community")},
        publisher=STABILITY,
    ),
)

CASES = (*PROFILES, *CLEAN)
