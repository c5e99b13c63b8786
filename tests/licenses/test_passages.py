"""What a licence wants repeated elsewhere is taken from its own text, to the letter."""

import pytest

from licenses.passages import notice_in, restrictions_in

LINE = "Clay is licensed under the Clay Licence, Copyright (c) Clay Ltd. All Rights Reserved."


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f'retain the following attribution notice within a "Notice" text file: "{LINE}" If you change it, say so.', LINE),
        (f"the following attribution notice within a “Notice” text file distributed\nwith it: “{LINE}”\n", LINE),
        (f"a “Notice” text file that contains the following notice: “{LINE[:-1]}”; and", LINE[:-1]),
        (
            "the following notice (such as a “Notice” text file) (the “Attribution Notice”):\n\n“Clay is licensed\n by Clay Ltd.”",
            "Clay is licensed by Clay Ltd.",
        ),
        (
            "contains the following notice: “Clay is licensed by Clay Ltd. The name “Clay” is a trade mark of Clay Ltd.”\n",
            "Clay is licensed by Clay Ltd. The name “Clay” is a trade mark of Clay Ltd.",
        ),
        ("keep all notices, and the following notice of this file: “what comes next is no such line at all”;", None),
        ("You may do as you like.", None),
    ],
)
def test_the_line_for_notice_is_read_from_the_text(text: str, line: str | None) -> None:
    assert notice_in(text) == line


LIST = "\n".join(f"- do not do thing number {number} with the model or its pictures;" for number in range(4))


@pytest.mark.parametrize(
    ("text", "section", "passage"),
    [
        (
            f"1. As in Attachment A, restrictions hold.\n\nAttachment A\n\nUse Restrictions\n\n{LIST}\n",
            "Attachment A",
            "Attachment A\n",
        ),
        (f"Grant.\n\n   ATTACHMENT A: Use Restrictions\n\n{LIST}\n\nAttachment B\nFees.\n", "ATTACHMENT A", "ATTACHMENT A"),
        (f"Grant.\nEXHIBIT A\nACCEPTABLE USE POLICY\n{LIST}\n", "EXHIBIT A", "EXHIBIT A"),
        (f"# Licence\n## Prohibited Uses\n{LIST}\n\n## Law\nOf the sea.\n", "Prohibited Uses", "## Prohibited Uses"),
        (f"3.1 Grant\n\nyes\n\n3.2 Use Restrictions\n\n{LIST}\n\n3.3 Output\n\nyours\n", "section 3.2", "3.2 Use"),
    ],
)
def test_use_restrictions_are_cut_out_as_they_stand(text: str, section: str, passage: str) -> None:
    found = restrictions_in(text)
    assert found
    assert found.section == section
    assert found.text.startswith(passage.strip())
    assert found.text.endswith(LIST)
    assert found.text in text


@pytest.mark.parametrize(
    "text",
    [
        "b. Use Restrictions. Your use must keep to the law and to our policy, which lies elsewhere.",
        "Attachment A\n\nSchedule of fees\n\n" + "ten a month; " * 20,
        "Attachment A\nUse Restrictions\nnone\n",
        "",
    ],
)
def test_what_is_no_section_of_its_own_is_not_cut_out(text: str) -> None:
    assert restrictions_in(text) is None
