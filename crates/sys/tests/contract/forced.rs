//! The whole suite again, once under each switch.

use std::process::Command;

use loky_sys::force::{Switch, VARIABLE};

/// Its name begins with that of this module, by which the inner runs leave it out.
#[test]
fn each_fall_back_passes_the_whole_suite() {
    let all = Switch::ALL.map(Switch::name);
    for list in all
        .iter()
        .map(|name| (*name).to_owned())
        .chain([all.join(",")])
    {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--skip", "forced::"])
            .env(VARIABLE, &list)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{list}:\n{text}\n{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let passed = text
            .lines()
            .find_map(|line| line.strip_prefix("test result: ok. "))
            .unwrap();
        let count: u32 = passed.split(' ').next().unwrap().parse().unwrap();
        assert!(count > 50, "{list}: only {count} tests were run");
    }
}
