//! What the compiler refuses, and that it says what to do instead.
//!
//! Each case is a program of its own in one small package, which is checked with cargo as a user's
//! would be. All cases are checked in one call, because that is what takes the time.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

/// A program, and what the compiler has to say about it.
const CASES: &[(&str, &str, &[&str])] = &[
    (
        "capturing_closure",
        "fn main() { let factor = 3; let pool = loky::ProcessPoolExecutor::new(1).unwrap(); \
         pool.submit(|| 5 * factor).unwrap(); }",
        &[
            "is no call of a task: it cannot run in another process",
            "what a closure captures does not travel with it: make it an argument of that function",
        ],
    ),
    (
        "unmarked_function",
        "fn double(x: u32) -> u32 { x * 2 } fn main() { \
         let pool = loky::ProcessPoolExecutor::new(1).unwrap(); pool.submit(double(4)).unwrap(); }",
        &[
            "`u32` is no call of a task",
            "write a function `#[loky::task] fn name(..) -> ..` and hand over `name::call(..)`",
        ],
    ),
    (
        "mapped_closure",
        "fn main() { let factor = 3; let pool = loky::ProcessPoolExecutor::new(1).unwrap(); \
         pool.map((0..4).map(|x| move || x * factor)); }",
        &["is no call of a task: it cannot run in another process"],
    ),
    (
        "reference_argument",
        "#[loky::task] fn len(text: &str) -> usize { text.len() } fn main() {}",
        &["use an owned type, such as `String` for `&str`"],
    ),
    (
        "generic_task",
        "#[loky::task] fn same<T>(x: T) -> T { x } fn main() {}",
        &["a task cannot be generic", "write a task for each type"],
    ),
    (
        "async_task",
        "#[loky::task] async fn nothing() {} fn main() {}",
        &["a task cannot be async: run the future to its end inside a plain function"],
    ),
    (
        "method",
        "struct S; impl S { #[loky::task] fn name(self) {} } fn main() {}",
        &["a task is a free function: make the value an ordinary argument"],
    ),
    (
        "never_returning",
        "#[loky::task] fn ends() -> ! { std::process::abort() } fn main() {}",
        &["a task has a result type: write `-> ()` or leave it out"],
    ),
    (
        "attribute_with_arguments",
        "#[loky::task(name = \"x\")] fn nothing() {} fn main() {}",
        &["`#[loky::task]` takes no arguments"],
    ),
    (
        "argument_that_serde_does_not_know",
        "struct Opaque; #[loky::task] fn takes(_: Opaque) {} fn main() {}",
        &["the trait bound `Opaque: serde::"],
    ),
    (
        "buffer_of_what_is_no_number",
        "fn main() { drop(loky::Buffer::from(vec![true])); }",
        &["`bool` is no plain number: a `Buffer` cannot hold it"],
    ),
];

fn write_package(folder: &Path) -> std::io::Result<()> {
    let sources = folder.join("src/bin");
    drop(std::fs::remove_dir_all(&sources));
    std::fs::create_dir_all(&sources)?;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest = format!(
        "[package]\nname = \"refusals\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n\
         [dependencies]\nloky = {{ path = \"{}\" }}\n\n[workspace]\n",
        here.display()
    );
    std::fs::write(folder.join("Cargo.toml"), manifest)?;
    // The versions that this workspace has chosen are those that are there without a network.
    std::fs::copy(here.join("../../Cargo.lock"), folder.join("Cargo.lock"))?;
    for (name, program, _) in CASES {
        std::fs::write(sources.join(name).with_extension("rs"), program)?;
    }
    Ok(())
}

#[test]
fn what_cannot_run_elsewhere_is_refused_with_a_way_out() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("refusals");
    write_package(&folder).unwrap();
    let output = Command::new(env!("CARGO"))
        .args([
            "check",
            "--offline",
            "--bins",
            "--keep-going",
            "--color=never",
        ])
        .env("CARGO_TARGET_DIR", folder.join("target"))
        .env_remove("RUSTFLAGS")
        .current_dir(&folder)
        .output()
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{said}");
    let mut missing = String::new();
    for (name, _, parts) in CASES {
        let place = format!("--> src/bin/{name}.rs:");
        let about: Vec<&str> = said
            .split("\n\n")
            .filter(|message| message.contains(&place))
            .collect();
        let about = about.join("\n");
        for part in *parts {
            if !about.contains(part) {
                writeln!(missing, "{name}: {part:?} is not in:\n{about}").unwrap();
            }
        }
    }
    assert!(missing.is_empty(), "{missing}\nAll of it:\n{said}");
}
