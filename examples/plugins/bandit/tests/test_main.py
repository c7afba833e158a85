"""The plugin on small files; the agreement with the command is measured by a benchmark."""

from main import Bandit

from tavo.plugins import ConfigError
from tavo.plugins.testing import find_in, started

FLAWS = {
    "B102": "exec(input())\n",
    "B105": "password = 'correct horse'\n",
    "B301": "import pickle\npickle.loads(data)\n",
    "B324": "import hashlib\nhashlib.md5(b'x')\n",
    "B602": "import subprocess\nsubprocess.call(name, shell=True)\n",
    "B608": "cursor.execute('SELECT * FROM t WHERE a = %s' % a)\n",
    "B613": "allowed = 1  # \u202e of everybody\n",
    "B615": "from transformers import AutoModel\nAutoModel.from_pretrained('acme/model')\n",
}


def said(text, name="a.py", **config):
    return [finding.rule_id for finding in find_in(Bandit, {name: text}, config=config)]


def refusal(call):
    try:
        call()
    except (ConfigError, ValueError) as error:
        return str(error)
    return ""


def test_flaws_are_found():
    for number, text in FLAWS.items():
        assert number in said(text), number


def test_harmless_code_is_quiet():
    assert said("import json\nprint(json.loads('1'))\n") == []


def test_nosec_holds_unless_told_otherwise():
    text = "exec(input())  # nosec B102\n"
    assert said(text) == []
    assert said(text, nosec=False) == ["B102"]


def test_tests_are_chosen():
    text = FLAWS["B102"] + FLAWS["B105"]
    assert said(text, skip=["B102"]) == ["B105"]
    assert said(text, tests=["B102"]) == ["B102"]
    assert "B999" in refusal(lambda: started(Bandit, {"tests": ["B999"]}))


def test_places_count_characters():
    (finding,) = find_in(Bandit, {"a.py": "größe = 1; exec(größe)\n"})
    region = finding.location.region
    assert (region.start_line, region.start_column, region.end_column) == (1, 12, 23)
    assert finding.evidence == {"test": "exec_used", "cwe": "CWE-78"}


def test_what_bandit_gives_up_is_no_clean_file():
    (finding,) = find_in(Bandit, {"a.py": "def broken(:\n"})
    assert finding.rule_id == "not-looked-at"
    assert "syntax error" in finding.message


def test_other_files_are_left_alone():
    assert said("exec(input())\n", name="notes.txt") == []


def test_each_rule_has_what_bandit_says_of_it():
    rules = {rule.id: rule for rule in Bandit.rules}
    assert len(rules) > 60
    assert rules["B602"].cwe == ("CWE-78",)
    assert rules["B301"].cwe == ("CWE-502",)
