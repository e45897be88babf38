//! How a fuzzer's input is read, so that kept inputs mean the same to it and to the tests.

use loky_wire::Role;

use super::laws;

/// The first byte says which way the rest flows and how it is cut.
pub fn check_input(input: &[u8]) {
    let Some((&choice, stream)) = input.split_first() else {
        return;
    };
    let role = match choice & 3 {
        0 => Role::ParentToWorker,
        1 => Role::WorkerToParent,
        2 => Role::ParentToZygote,
        _ => Role::ZygoteToParent,
    };
    let whole = laws::check_stream(role, stream);
    let pieces = laws::verdict_of(role, stream.chunks(usize::from(choice >> 2) + 1));
    assert_eq!(whole, pieces, "how a stream is cut changes nothing");
}
