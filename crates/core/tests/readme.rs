//! The README names things of this crate; this test holds it to that.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::{Path, PathBuf};

/// Every file below `folder` with this ending.
fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path
            .extension()
            .is_some_and(|extension| extension == ending)
        {
            found.push(path);
        }
    }
    found
}

/// The words in single backticks outside of code blocks.
fn named(text: &str) -> Vec<&str> {
    let prose = text.split("```").step_by(2);
    prose
        .flat_map(|prose| prose.split('`').skip(1).step_by(2))
        .collect()
}

#[test]
fn whatever_the_readme_names_exists_in_the_code() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut code = String::new();
    for file in files(&root.join("src"), "rs")
        .iter()
        .chain(&files(&root.join("tests"), "rs"))
    {
        code.push_str(&file.display().to_string());
        code.push_str(&fs::read_to_string(file).unwrap());
    }
    let readme = fs::read_to_string(root.join("README.md")).unwrap();
    let names = named(&readme);
    assert!(names.len() > 60, "the README is read: {names:?}");
    for name in names {
        for part in name.split("::").filter(|part| !part.contains('…')) {
            assert!(
                code.contains(part),
                "the README names `{name}`, which is nowhere"
            );
        }
    }
}
