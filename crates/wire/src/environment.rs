//! The environment of an executed worker, as the `rest` of a Spawn body. Owner: its form.
//!
//! Variables stand one behind the other as `name=value`, each with a zero byte at its end, as the
//! kernel keeps them. It never judges what a variable means.

/// A name and its value.
pub type Variable = (Vec<u8>, Vec<u8>);

/// Writes variables. One whose name is empty or holds `=`, or that holds a zero byte, can be in no
/// environment and is left out.
pub fn encode_environment<'a>(
    variables: impl IntoIterator<Item = (&'a [u8], &'a [u8])>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in variables {
        let possible = !name.is_empty() && !name.contains(&b'=') && !name.contains(&0);
        if possible && !value.contains(&0) {
            bytes.extend_from_slice(name);
            bytes.push(b'=');
            bytes.extend_from_slice(value);
            bytes.push(0);
        }
    }
    bytes
}

/// Reads variables; any bytes give some. What has no `=` or no name is left out.
pub fn decode_environment(bytes: &[u8]) -> Vec<Variable> {
    let entries = bytes.split(|byte| *byte == 0);
    let variables = entries.filter_map(|entry| {
        let at = entry.iter().position(|byte| *byte == b'=')?;
        let (name, value) = entry.split_at_checked(at)?;
        (!name.is_empty()).then(|| (name.to_vec(), value.get(1..).unwrap_or_default().to_vec()))
    });
    variables.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_in_an_environment_comes_back() {
        let given: [(&[u8], &[u8]); 4] =
            [(b"A", b"1"), (b"B", b""), (b"C", b"x=y"), (b"D", b"\xff")];
        let expected: Vec<Variable> = given
            .iter()
            .map(|(name, value)| (name.to_vec(), value.to_vec()))
            .collect();
        assert_eq!(decode_environment(&encode_environment(given)), expected);
    }

    #[test]
    fn what_cannot_is_left_out() {
        let given: [(&[u8], &[u8]); 4] =
            [(b"", b"1"), (b"A=", b"1"), (b"A\0", b"1"), (b"A", b"\0")];
        assert_eq!(encode_environment(given), b"");
    }

    #[test]
    fn any_bytes_can_be_read() {
        assert_eq!(
            decode_environment(b"=x\0plain\0\0A=1"),
            [(b"A".to_vec(), b"1".to_vec())]
        );
    }
}
