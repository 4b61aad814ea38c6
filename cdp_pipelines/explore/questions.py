"""The questions of docs/questions.md, each with the SQL that answers it: the page is their one place."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from cdp_pipelines.config import PROJECT_DIR

PAGE = PROJECT_DIR / "docs" / "questions.md"
_PART = re.compile(r"^## (?P<topic>[^\n]+)$|^### (?P<number>\d+)\. (?P<title>[^\n]+)\n\n```sql\n(?P<sql>.*?)```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Question:
    """A question, the heading that it stands under, and the query of the published file that answers it."""

    number: int
    topic: str
    title: str
    sql: str

    @property
    def label(self) -> str:
        """How a list of questions shows it."""
        return f"{self.topic}: {self.title}"


def load(page: Path = PAGE) -> list[Question]:
    """All questions in the page's order."""
    found, topic = [], ""
    for part in _PART.finditer(page.read_text()):
        if part["topic"]:
            topic = part["topic"]
        else:
            found.append(Question(int(part["number"]), topic, part["title"], part["sql"].strip()))
    return found
