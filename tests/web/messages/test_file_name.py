"""Names of uploaded files."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tautomer.web.messages.file_name import clean_file_name


@pytest.mark.parametrize(
    ("given_name", "expected"),
    [
        ("report.pdf", "report.pdf"),
        ("Zażółć 写真 🎉.jpg", "Zażółć 写真 🎉.jpg"),
        ("", "unnamed"),
        (".", "unnamed"),
        ("..", "unnamed"),
        ("...", "unnamed"),
        ("/", "unnamed"),
        ("a/b/..", "unnamed"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\x.txt", "x.txt"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("a/b\\c.txt", "c.txt"),
        (".htaccess", "htaccess"),
        ("x.txt. ", "x.txt"),
        ("a\x00b.php\x00.jpg", "ab.php.jpg"),
        ("a\r\nSet-Cookie: b", "aSet-Cookie_ b"),
        ("invoice\u202egnp.exe", "invoicegnp.exe"),
        ('a<b>c:d"e|f?g*h', "a_b_c_d_e_f_g_h"),
        ("file.txt:stream", "file.txt_stream"),
        ("con", "_con"),
        ("NUL.txt", "_NUL.txt"),
        ("com1.tar.gz", "_com1.tar.gz"),
        ("console.txt", "console.txt"),
        ("x" * 300 + ".txt", "x" * 251 + ".txt"),
        ("é" * 200 + ".txt", "é" * 125 + ".txt"),
        ("x." + "y" * 300, "x." + "y" * 253),
    ],
)
def test_only_a_clean_last_segment_is_left(given_name: str, expected: str) -> None:
    assert expected == clean_file_name(given_name)


@given(st.text(max_size=400))
def test_whatever_is_sent_the_name_is_safe_and_cleaning_it_again_changes_nothing(name: str) -> None:
    cleaned = clean_file_name(name)

    assert 0 < len(cleaned.encode()) <= 256
    assert not set(cleaned) & set('/\\<>:"|?*')
    assert not any(unicodedata.category(char)[0] == "C" for char in cleaned)
    assert cleaned.strip(" .") == cleaned
    assert cleaned == clean_file_name(cleaned)
