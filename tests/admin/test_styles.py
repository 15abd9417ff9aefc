"""Style sheets that hold in every theme, and in languages that are written from the right."""

import re
from pathlib import Path

import django.contrib.admin
import pytest

import parlant_store

FOLDER = Path(parlant_store.__file__).parent / "static" / "parlant_store"
SHEETS = sorted(FOLDER.glob("*.css"))
THEME = FOLDER / "theme.css"
DJANGOS = Path(django.contrib.admin.__file__).parent / "static" / "admin" / "css" / "base.css"

pytestmark = pytest.mark.any_database

USED = re.compile(r"var\((--[\w-]+)")
DEFINED = re.compile(r"^\s*(--[\w-]+):", re.MULTILINE)
OF_THEMES = ("--bs-", "--color-")
"""How names of the variables of themes begin; theme.css alone names them."""

ONE_SIDED = re.compile(
    r"(?<![\w-])(?:(?:margin|padding|border|inset)-(?:left|right)[\w-]*|left|right"
    r"|text-align:\s*(?:left|right)|float:\s*(?:left|right))(?=\s*[:;}])"
)


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_every_variable_has_a_value_in_every_theme(sheet):
    named = {name for name in USED.findall(sheet.read_text()) if not name.startswith(OF_THEMES)}
    own = set(DEFINED.findall(sheet.read_text()))
    defined = set(DEFINED.findall(THEME.read_text()))
    assert named - own - defined == set(), "Give these a value in theme.css."
    of_themes = {name for name in USED.findall(sheet.read_text()) if name.startswith(OF_THEMES)}
    assert sheet == THEME or of_themes == set()


def test_every_variable_is_one_of_djangos():
    assert set(DEFINED.findall(THEME.read_text())) <= set(DEFINED.findall(DJANGOS.read_text()))


def test_values_for_themes_change_nothing_in_djangos_own():
    rules = re.findall(
        r"([^{}]+)\{[^{}]*--[\w-]+:", re.sub(r"/\*.*?\*/", "", THEME.read_text(), flags=re.S)
    )
    assert [rule.strip() for rule in rules] == [":where(:root)", ":where(.dark)"]


@pytest.mark.parametrize("sheet", SHEETS, ids=lambda sheet: sheet.name)
def test_no_rule_names_left_or_right(sheet):
    assert ONE_SIDED.findall(sheet.read_text()) == []


def test_a_rule_that_names_left_is_found():
    for rule in ("margin-left: 1px", "{left: 0}", "text-align: right;", "float: left;"):
        assert ONE_SIDED.search(rule), rule
    assert not ONE_SIDED.search("margin-inline: 1px; text-align: start; /* what is left */")
