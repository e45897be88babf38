//! A program that forgets `loky::init()`: it gets an error that names the line, and no process.

#[loky::task]
fn nothing() {}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.iter().any(|word| word == "--list") {
        if words.iter().any(|word| word == "--ignored") {
            return;
        }
        println!("forgetting_init_is_an_error_that_names_the_line: test");
        return;
    }
    let made = loky::ProcessPoolExecutor::new(1).map_err(|error| error.to_string());
    let text = made.err().unwrap_or_default();
    assert!(
        text.contains("`loky::init();` as the first line of `main`"),
        "{text}"
    );
    assert!(matches!(
        loky::get_reusable_executor(1),
        Err(loky::Error::NotInitialized)
    ));
    drop(nothing::call());
    let children = loky_sys::process::children_of_self();
    assert!(children.is_ok_and(|children| children.is_empty()));
}
