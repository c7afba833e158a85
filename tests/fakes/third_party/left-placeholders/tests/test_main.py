from main import LeftPlaceholders

from tavo.plugins.testing import find_in


def test_a_placeholder_is_found():
    (finding,) = find_in(LeftPlaceholders, {"prompt.md": "Hi.\nI am <YOUR NAME HERE>."})
    assert finding.location.region.start_line == 2
    assert finding.location.region.start_column == 6


def test_other_angles_are_not():
    assert find_in(LeftPlaceholders, {"prompt.md": "a < B and <b>bold</b> <XML>"}) == []


def test_the_configuration_bounds_what_is_reported():
    text = "<YOUR NAME>\n" * 50
    assert len(find_in(LeftPlaceholders, {"a.md": text}, config={"most": 3})) == 3
