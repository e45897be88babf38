//! A program that forgets `loky::init()`: it gets an error that names the line, and no process.

#[loky::task]
fn nothing() {}

fn main() {
    if std::env::args().any(|word| word == "--list") {
        println!("forgetting_init_is_an_error_that_names_the_line: test");
        return;
    }
    let Err(error) = loky::ProcessPoolExecutor::new(1) else {
        panic!("a pool was made")
    };
    assert!(matches!(error, loky::Error::NotInitialized), "{error:?}");
    let text = error.to_string();
    assert!(
        text.contains("`loky::init();` as the first line of `main`"),
        "{text}"
    );
    assert!(matches!(
        loky::get_reusable_executor(1),
        Err(loky::Error::NotInitialized)
    ));
    let children = loky_sys::process::children_of_self().expect("the kernel lists children");
    assert!(children.is_empty(), "{children:?}");
    assert_eq!(nothing(), ());
}
