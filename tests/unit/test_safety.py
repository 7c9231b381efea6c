"""What is not in the program: code made of data, and ways past certificates."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "bench").rglob("*.py"), ROOT / "concurrent_bigmodel.py"])

#: Modules that make objects, and by that run code, out of what stands in a file.
MAKERS = {"pickle", "cPickle", "dill", "shelve", "marshal", "yaml", "joblib"}


def test_f53_certificates_are_always_checked() -> None:
    """No source, document or script switches the check of certificates off or offers to."""
    written = [*SOURCES, *(ROOT / "docs").rglob("*.md"), ROOT / "README.md", ROOT / "run_concurrent.sh"]
    off = re.compile(
        r"verify\s*=\s*False|CERT_NONE|check_hostname\s*=\s*False|_create_unverified|ssl\s*=\s*False|--insecure\b"
    )
    assert [path.name for path in written if off.search(path.read_text(encoding="utf-8"))] == []


def test_f57_no_data_becomes_code() -> None:
    """Nothing evaluates text, and no library that makes objects out of files is imported."""
    found = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.Call(func=ast.Name(id="eval" | "exec" | "compile" | "__import__")):
                    found.append((path.name, node.lineno))
                case ast.Import():
                    found += [(path.name, node.lineno) for each in node.names if each.name.split(".")[0] in MAKERS]
                case ast.ImportFrom(module=str(module)) if module.split(".")[0] in MAKERS:
                    found.append((path.name, node.lineno))
                case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                    found.append((path.name, node.value.lineno))
                case _:
                    pass
    assert found == []


def test_f57_the_script_reads_no_settings_as_code() -> None:
    """The script sources nothing but the virtual environment's own file, and pins by hash what it installs."""
    script = (ROOT / "run_concurrent.sh").read_text(encoding="utf-8")
    # Wherever a command may begin: on its line, behind another one, in a condition's branch.
    begins = r"(?:^|[;&|({]|\b(?:then|else|do))[ \t]*"
    assert not re.search(begins + r"(?:source|\.)[ \t]+(?!\S*bin/activate)", script, re.MULTILINE)
    assert not re.search(r"\beval\b|curl[^\n]*\|\s*(?:ba)?sh", script)
    # What is installed goes through one function, whose arguments begin so.
    assert 'set -- --require-hashes --requirement "$lock" "$@"' in script
    assert len(re.findall(r"^\s*[^#\n]*pip install --", script, re.MULTILINE)) == 2
