"""Each house rule finds what it is there for, and nothing in code that obeys it."""

import pytest

from tools.tidy import arrows, bans, dead_files, lengths, readme_names
from tools.tidy.rust_text import code_only, functions
from tools.tidy.tree import Tree

FORBID = "#![forbid(unsafe_code)]\n"


def found(check, files):
    return [(finding.path, finding.rule) for finding in check(Tree(files))]


def lines_of(count):
    return "\n" * count


def rust_function(lines):
    return "fn f() {\n" + "a();\n" * (lines - 2) + "}\n"


def python_function(lines):
    return "def f():\n" + "    a()\n" * (lines - 1)


@pytest.mark.parametrize("path", ["crates/core/src/lib.rs", "python/loky/pool.py"])
def test_a_file_may_have_600_lines_and_not_one_more(path):
    assert found(lengths.check, {path: lines_of(600)}) == []
    assert found(lengths.check, {path: lines_of(601)}) == [(path, "file-length")]


@pytest.mark.parametrize(
    ("path", "function"),
    [("crates/core/src/lib.rs", rust_function), ("python/loky/pool.py", python_function)],
)
def test_a_function_may_have_60_lines_and_not_one_more(path, function):
    assert found(lengths.check, {path: function(60)}) == []
    assert found(lengths.check, {path: function(61)}) == [(path, "function-length")]


def test_braces_in_strings_comments_and_characters_do_not_count():
    body = 'let a = "}"; // }\nlet b = \'}\'; /* } /* } */ */ let c = r#"}"#;'
    code = f"fn f() {{\n{body}\n}}\nfn g();\n"
    assert list(functions(code_only(code))) == [("f", 1, 4)]


def test_a_lifetime_is_not_a_character():
    code = "fn f<'a>(x: &'a str) -> &'a str {\n    x\n}\nfn g() {}\n"
    assert list(functions(code_only(code))) == [("f", 1, 3), ("g", 4, 4)]


def test_a_function_with_an_array_type_in_its_signature_is_measured():
    assert list(functions("fn f(a: [u8; 3]) -> [u8; 3] {\na\n}\n")) == [("f", 1, 3)]


@pytest.mark.parametrize(
    ("folder", "line", "breaches"),
    [
        ("engine", "loky-core.workspace = true", 0),
        ("engine", "loky-worker.workspace = true", 1),
        ("wire", 'loky-core = { path = "../core" }', 1),
        ("core", 'other = { package = "loky-sys", path = "../sys" }', 1),
        ("worker", "pyo3.workspace = true", 1),
        ("py", "pyo3.workspace = true", 0),
        ("engine", "rustix.workspace = true", 1),
        ("sys", "rustix.workspace = true", 0),
        ("surprise", "", 1),
    ],
)
def test_arrows_only_go_down(folder, line, breaches):
    manifest = f"[package]\nname = 'x'\n[dependencies]\n{line}\n"
    assert len(found(arrows.check, {f"crates/{folder}/Cargo.toml": manifest})) == breaches


def test_arrows_of_tests_are_free():
    manifest = "[dev-dependencies]\nloky-engine.workspace = true\n"
    assert found(arrows.check, {"crates/core/Cargo.toml": manifest}) == []


def test_arrows_under_a_platform_condition_count():
    manifest = "[target.'cfg(unix)'.dependencies]\nloky-engine.workspace = true\n"
    assert found(arrows.check, {"crates/core/Cargo.toml": manifest}) == [("crates/core/Cargo.toml", "arrows")]


@pytest.mark.parametrize(
    ("path", "text", "rules"),
    [
        ("crates/core/src/pool.rs", "unsafe { f() }", ["unsafe"]),
        ("crates/sys/src/fork.rs", "unsafe { f() }", []),
        ("crates/core/src/pool.rs", '// unsafe\nlet a = "unsafe";', []),
        ("crates/engine/src/driver.rs", "use pyo3::prelude::*;", ["pyo3"]),
        ("crates/core/src/pool.rs", "use std::time::Duration;", ["pure-core"]),
        ("crates/core/src/pool.rs", "let n = rand::random();", ["pure-core"]),
        ("crates/core/tests/sim.rs", "use std::time::Duration;", []),
        ("crates/engine/src/driver.rs", "todo!()", ["leftover"]),
        ("crates/engine/tests/a.rs", "dbg!(a)", ["leftover"]),
        ("crates/engine/src/driver.rs", 'println!("a")', ["print"]),
        ("crates/engine/src/bin/tool.rs", 'println!("a")', []),
        ("crates/engine/tests/a.rs", 'eprintln!("a")', []),
        ("docs/guide.md", "FIXME", ["leftover"]),
        ("crates/worker/src/run.rs", "unsafe { f() }", ["unsafe"]),
        ("crates/worker/tests/family.rs", "unsafe { f() }", []),
        ("crates/core/tests/table.rs", "unsafe { f() }", ["unsafe"]),
        ("crates/engine/src/driver.rs", "#[allow(dead_code)]", ["silenced"]),
        ("crates/engine/src/driver.rs", "#[expect(dead_code)]", ["silenced"]),
        ("crates/engine/src/driver.rs", '#![allow(\n    a,\n    reason = "b"\n)]', []),
        ("crates/engine/src/driver.rs", '#[expect(dead_code, reason = "a")]', []),
        ("docs/guide.md", "see /home/someone/notes", ["machine-path"]),
        ("docs/guide.md", "see /proc/self/maps and a/work/b", []),
        ("docs/guide.md", "https://pypi.org/project", ["registry"]),
    ],
)
def test_bans(path, text, rules):
    assert [rule for _, rule in found(bans.check, {path: text})] == rules


def test_a_crate_without_unsafe_says_so():
    texts = {"core": "", "wire": FORBID, "sys": ""}
    files = {f"crates/{crate}/src/lib.rs": text for crate, text in texts.items()}
    assert found(bans.check, files) == [("crates/core/src/lib.rs", "unsafe")]


def test_a_rust_file_is_alive_when_modules_lead_to_it():
    files = {
        "crates/a/Cargo.toml": '[package]\nname = "a"\n[[bin]]\nname = "b"\npath = "fuzz/b.rs"\n',
        "crates/a/src/lib.rs": 'mod one;\n#[path = "linux/mod.rs"]\nmod os;\n// mod four;',
        "crates/a/src/one.rs": "pub(crate) mod two;",
        "crates/a/src/one/two.rs": "",
        "crates/a/src/linux/mod.rs": "mod three;",
        "crates/a/src/linux/three.rs": "",
        "crates/a/src/four.rs": "",
        "crates/a/tests/sim/main.rs": "mod world;",
        "crates/a/tests/sim/world.rs": "",
        "crates/a/tests/table.rs": "mod table_parts;",
        "crates/a/tests/table_parts.rs": "",
        "crates/a/fuzz/b.rs": "",
    }
    assert found(dead_files.check, files) == [("crates/a/src/four.rs", "dead-file")]


def test_a_python_file_is_alive_when_something_imports_or_runs_it():
    files = {
        "python/loky/__init__.py": "from loky.pool import Pool\nfrom . import tools",
        "python/loky/pool.py": "",
        "python/loky/tools.py": "",
        "python/loky/_child.py": "",
        "python/loky/_spare.py": 'WHAT = "loky._exec_main"',
        "python/loky/_exec_main.py": "",
        "crates/py/src/lib.rs": 'const CHILD: &str = "loky._child";',
        "crates/py/Cargo.toml": "",
        "tests/test_a.py": "",
        "tests/conftest.py": "",
        "examples/a.py": "",
        "ci/step": "python tools/run_me.py",
        "tools/run_me.py": "",
    }
    assert found(dead_files.check, files) == [("python/loky/_spare.py", "dead-file")]


@pytest.mark.parametrize(
    ("prose", "breaches"),
    [
        ("The `Ledger` is in `ledger.rs`.", 0),
        ("It calls `Ledger::claim`.", 0),
        ("It calls `Ledger::seize`.", 1),
        ("It calls `forget_all()`.", 1),
        ("The kernel's `MSG_CTRUNC`, `SIGKILL`, `EMFILE` and `wait4`.", 0),
        ("A line of text: `kill -9 the parent`.", 0),
        ("```\n`nothing_here`\n```\n", 0),
    ],
)
def test_a_name_in_a_readme_exists(prose, breaches):
    files = {
        "crates/shm/README.md": prose,
        "crates/shm/src/ledger.rs": "pub struct Ledger; fn claim() {} // seize forget_all",
    }
    assert len(found(readme_names.check, files)) == breaches
