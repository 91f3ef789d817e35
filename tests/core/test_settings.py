"""Settings: edits, differences, and undoing on the state of now."""

from __future__ import annotations

import copy
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ha_ssh.core.model import Edit, EditOp, PublicKeyOf, SecretRef
from ha_ssh.core.settings import (
    Change,
    apply_edits,
    at_path,
    diff,
    from_json,
    only_changed,
    render_diff,
    resolved,
    reverse,
    to_json,
)

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIG8DOGCKJt1NFSusbmi1V9pDaG1G/iOgtKQdz46Jh2cY"
OTHER = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIM1Eh6qbm30psl7AJOTwF/MbbRP/JKsWdj8GNQ41hbhZ"
KEYS = ("options", "authorized_keys")
PASSWORD = ("options", "password")
PORT = ("network", "22/tcp")


def fresh() -> dict:
    return {
        "options": {"authorized_keys": [], "password": "", "apks": [], "server": {"tcp_forwarding": False}},
        "network": {"22/tcp": None},
        "boot": "auto",
        "watchdog": False,
        "auto_update": False,
    }


def add(path, value) -> Edit:
    return Edit(path=path, op=EditOp.ADD, value=value, title="add")


def remove(path, value) -> Edit:
    return Edit(path=path, op=EditOp.REMOVE, value=value, title="remove")


def set_(path, value) -> Edit:
    return Edit(path=path, op=EditOp.SET, value=value, title="set")


# ---------------------------------------------------------------------------------------------------------------- edits


def test_edits_change_only_what_they_name():
    before = fresh()
    kept = copy.deepcopy(before)
    after = apply_edits(before, [add(KEYS, KEY), set_(PORT, 2222), set_(("watchdog",), True)])
    assert before == kept
    assert after["options"]["authorized_keys"] == [KEY]
    assert after["network"] == {"22/tcp": 2222}
    assert after["watchdog"] is True
    assert after["options"]["server"] == {"tcp_forwarding": False}
    assert list(after) == list(before)
    assert list(after["options"]) == list(before["options"])


def test_a_key_is_added_beside_others_and_only_once():
    before = apply_edits(fresh(), [add(KEYS, OTHER + " hers")])
    after = apply_edits(before, [add(KEYS, KEY + " mine")])
    assert after["options"]["authorized_keys"] == [OTHER + " hers", KEY + " mine"]
    assert apply_edits(after, [add(KEYS, KEY + " under another name")]) == after


def test_a_key_that_an_entry_with_several_keys_serves_is_not_added_again():
    before = apply_edits(fresh(), [add(KEYS, f"{OTHER} a\n{KEY} b")])
    assert apply_edits(before, [add(KEYS, KEY)]) == before


def test_a_repair_keeps_the_key_whatever_the_order_of_its_edits():
    entry = f"{KEY} a, {OTHER} b"
    before = apply_edits(fresh(), [add(KEYS, entry)])
    edits = [add(KEYS, KEY + " a"), add(KEYS, OTHER + " b"), remove(KEYS, entry)]
    for order in (edits, edits[::-1]):
        assert sorted(apply_edits(before, order)["options"]["authorized_keys"]) == sorted([KEY + " a", OTHER + " b"])


def test_an_add_wins_over_a_remove_of_the_same():
    before = apply_edits(fresh(), [add(KEYS, KEY)])
    assert apply_edits(before, [add(KEYS, KEY), remove(KEYS, KEY)]) == before


def test_removing_what_is_not_there_leaves_no_trace():
    assert apply_edits({"options": {}}, [remove(KEYS, KEY)]) == {"options": {}}
    assert apply_edits({}, [remove(KEYS, KEY)]) == {}


def test_adding_makes_the_list_where_there_is_none():
    assert apply_edits({}, [add(KEYS, KEY)]) == {"options": {"authorized_keys": [KEY]}}
    assert apply_edits({"options": {"authorized_keys": None}}, [add(KEYS, KEY)]) == {"options": {"authorized_keys": [KEY]}}
    assert apply_edits({"options": {"authorized_keys": OTHER}}, [add(KEYS, KEY)]) == {
        "options": {"authorized_keys": [OTHER, KEY]}
    }


def test_a_key_yet_to_be_made_is_added_once():
    new = PublicKeyOf("/home/me/.ssh/ha", "ha-ssh")
    once = apply_edits(fresh(), [add(KEYS, new)])
    assert once["options"]["authorized_keys"] == [new]
    assert apply_edits(once, [add(KEYS, new)]) == once


def test_secrets_are_put_in_by_reference_and_resolved_apart():
    after = apply_edits(fresh(), [set_(PASSWORD, SecretRef("pw"))])
    assert at_path(resolved(after, {SecretRef("pw"): "s3cret"}), PASSWORD) == "s3cret"
    with pytest.raises(KeyError):
        resolved(after, {})


# ----------------------------------------------------------------------------------------------------------- differences


def test_a_diff_reads_well():
    after = apply_edits(
        fresh(),
        [
            add(KEYS, KEY + " laptop"),
            set_(PORT, 2222),
            set_(PASSWORD, "hunter2"),
            set_(("options", "server", "tcp_forwarding"), True),
        ],
    )
    assert render_diff(diff(fresh(), after, [PASSWORD])) == (
        "+ options.authorized_keys: ssh-ed25519 SHA256:H0WzrmpRA5ro… laptop",
        '~ options.password: "" -> ***',
        "~ options.server.tcp_forwarding: false -> true",
        "~ network.22/tcp: none -> 2222",
    )


def test_reverse_keeps_what_others_did_since():
    before = apply_edits(fresh(), [add(KEYS, "broken entry")])
    after = apply_edits(before, [remove(KEYS, "broken entry"), add(KEYS, KEY), set_(PORT, 2222)])
    now = apply_edits(after, [add(KEYS, OTHER), set_(PORT, 2299), set_(("options", "apks"), ["rsync"])])
    back = reverse(diff(before, after), now)
    assert back["options"]["authorized_keys"] == ["broken entry", OTHER]
    assert back["network"] == {"22/tcp": 2299}
    assert back["options"]["apks"] == ["rsync"]


def test_our_key_goes_even_if_someone_renamed_it():
    after = apply_edits(fresh(), [add(KEYS, KEY + " laptop")])
    now = apply_edits(after, [remove(KEYS, KEY + " laptop"), add(KEYS, KEY + " renamed")])
    assert reverse(diff(fresh(), after), now) == fresh()


def test_a_key_that_came_back_by_itself_is_not_put_back_twice():
    before = apply_edits(fresh(), [add(KEYS, KEY + " old")])
    now = apply_edits(fresh(), [add(KEYS, KEY + " by hand")])
    assert reverse(diff(before, fresh()), now) == now


def test_a_setting_that_vanished_with_an_update_stays_away():
    path = ("options", "server", "tcp_forwarding")
    after = apply_edits(fresh(), [set_(path, True)])
    now = copy.deepcopy(after)
    del now["options"]["server"]
    assert reverse(diff(fresh(), after), now) == now


def test_true_is_not_one():
    changes = diff({"a": True}, {"a": 1})
    assert [c.op for c in changes] == [EditOp.SET]
    assert reverse(changes, {"a": 1})["a"] is True


def test_the_body_holds_whole_sections_and_only_changed_ones():
    after = apply_edits(fresh(), [add(KEYS, KEY), set_(PORT, 2222)])
    assert only_changed(fresh(), after) == {"options": after["options"], "network": {"22/tcp": 2222}}
    assert only_changed(fresh(), fresh()) == {}
    assert only_changed(fresh(), apply_edits(fresh(), [set_(("watchdog",), True)])) == {"watchdog": True}


def test_changes_survive_json_with_references_only():
    after = apply_edits(fresh(), [add(KEYS, KEY), set_(PASSWORD, SecretRef("new"))])
    changes = diff(fresh(), after, [PASSWORD])
    assert from_json(json.loads(json.dumps(to_json(changes)))) == changes
    plain = diff(fresh(), apply_edits(fresh(), [set_(PASSWORD, "hunter2")]), [PASSWORD])
    with pytest.raises(ValueError, match="vault"):
        to_json(plain)


def test_a_secret_within_a_section_that_comes_or_goes_whole_is_masked_and_refused_too():
    full = {"options": {"ssh": {"password": "hunter2", "port": 1}}}
    for changes in (
        diff({"options": {}}, full, [("options", "ssh", "password")]),
        diff(full, {"options": {"ssh": 3}}, [("options", "ssh", "password")]),
    ):
        assert "hunter2" not in "\n".join(render_diff(changes))
        with pytest.raises(ValueError, match="vault"):
            to_json(changes)


def test_a_private_key_or_an_escape_in_the_settings_is_never_shown():
    changes = [
        Change(KEYS, EditOp.SET, ["-----BEGIN OPENSSH PRIVATE KEY----- b3Blbn"], [PublicKeyOf("/x", "ha-ssh")]),
        Change(("options", "x"), EditOp.SET, "a\x1b[31m", "b"),
        Change(KEYS, EditOp.SET, [KEY + " a", OTHER], [OTHER, KEY + " a"]),
    ]
    one, other = "ssh-ed25519 SHA256:H0WzrmpRA5ro… a", "ssh-ed25519 SHA256:S2XlffQFcozE…"
    lines = render_diff(changes)
    assert lines == (
        "- options.authorized_keys: *** (a private key)",
        "+ options.authorized_keys: the new key ha-ssh",
        "~ options.x: a\\x1b[31m -> b",
        f"~ options.authorized_keys: [{one}, {other}] -> [{other}, {one}]",
    )


# ----------------------------------------------------------------------------------------------------------------- laws

ITEM = st.sampled_from([KEY, KEY + " a", KEY + " b", OTHER, OTHER + " c", "garbage", "", 1, True, None])
LEAF = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from(["", "x", "y", KEY]), st.lists(ITEM, max_size=5))
TREE = st.recursive(LEAF, lambda inner: st.dictionaries(st.sampled_from("abcd"), inner, max_size=4), max_leaves=12)
SETTINGS = st.dictionaries(st.sampled_from("abcd"), TREE, max_size=4)
PATH = st.lists(st.sampled_from("abcd"), min_size=1, max_size=3).map(tuple)
EDITS = st.lists(
    st.one_of(
        st.builds(lambda p, v: set_(p, v), PATH, LEAF),
        st.builds(lambda p, v: add(p, v), PATH, ITEM),
        st.builds(lambda p, v: remove(p, v), PATH, ITEM),
    ),
    max_size=6,
)


def form(value) -> str:
    return json.dumps(value, sort_keys=True)


@given(SETTINGS, SETTINGS)
def test_reverse_of_a_diff_is_where_it_began(a, b):
    assert form(reverse(diff(a, b), b)) == form(a)


@given(SETTINGS, SETTINGS)
def test_reverse_by_way_of_json_and_no_diff_without_a_difference(a, b):
    assert form(reverse(from_json(json.loads(json.dumps(to_json(diff(a, b))))), b)) == form(a)
    assert diff(a, a) == ()
    assert (diff(a, b) == ()) == (form(a) == form(b))


@given(SETTINGS, SETTINGS)
def test_undoing_what_never_happened_or_is_undone_already_changes_nothing(a, b):
    before = copy.deepcopy((a, b))
    changes = diff(a, b)
    assert form(reverse(changes, a)) == form(a)
    assert form(before) == form((a, b))


def in_conflict(edits) -> bool:
    return any(a.path != b.path and a.path == b.path[: len(a.path)] for a in edits for b in edits)


@given(SETTINGS, EDITS.filter(lambda edits: not in_conflict(edits)))
def test_twice_is_once_and_nothing_is_mutated(a, edits):
    kept = copy.deepcopy(a)
    once = apply_edits(a, edits)
    assert form(a) == form(kept)
    assert form(apply_edits(once, edits)) == form(once)


@given(st.lists(ITEM, max_size=5), st.lists(ITEM, max_size=5))
def test_lists_with_the_same_key_under_several_names_come_back_exactly(a, b):
    changes = diff({"x": a}, {"x": b})
    assert form(reverse(changes, {"x": b})) == form({"x": a})
    assert form(reverse(changes, {"x": a})) == form({"x": a})


@given(st.lists(ITEM, max_size=5), st.sampled_from([KEY, OTHER + " c", "new"]), st.lists(ITEM, max_size=3))
def test_undoing_an_add_keeps_every_item_of_others(there, ours, theirs):
    before = {"options": {"authorized_keys": there}}
    after = apply_edits(before, [add(KEYS, ours)])
    now = {"options": {"authorized_keys": [*after["options"]["authorized_keys"], *theirs]}}
    back = reverse(diff(before, after), now)["options"]["authorized_keys"]
    assert back[: len(there)] == there
    assert len(back) == len(there) + len(theirs)


@given(SETTINGS, EDITS, st.dictionaries(st.sampled_from(["unknown", "z"]), TREE, min_size=1))
def test_an_unknown_key_is_never_lost(a, edits, strange):
    after = apply_edits({**a, **strange}, edits)
    assert all(form(after[key]) == form(value) for key, value in strange.items())
    back = reverse(diff({**a, **strange}, after), after)
    assert form(back) == form({**a, **strange})
